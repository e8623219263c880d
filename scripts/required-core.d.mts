import type { Plugin } from 'esbuild'

export declare const requiredCore: Plugin

import { generatesWithin } from './windows.ts'

generatesWithin(5)

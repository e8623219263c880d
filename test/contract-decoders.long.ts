import { contractOn } from './contract-rows.ts'

contractOn('decoders')

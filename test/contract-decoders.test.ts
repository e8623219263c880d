import { contractOn, FEW } from './contract-rows.ts'

contractOn('decoders', FEW)

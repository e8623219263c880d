import { contractOn } from './contract-rows.ts'

contractOn('encoders')

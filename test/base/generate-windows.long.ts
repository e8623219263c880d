import { generatesWithin } from './generate-windows.ts'

generatesWithin(1)

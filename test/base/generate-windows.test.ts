import { generatesWithin } from './generate-windows.ts'

generatesWithin(5)

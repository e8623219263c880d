import { shown } from '../errors.ts'

/** What is known of the machine's power and of its electricity. */
export interface PowerOptions {
  /** What the machine draws, W: counts where it does not tell it itself. @default none: then no energy is reported there */
  readonly watts?: number
  /** CO2 of its electricity, g per kWh. @default none: no CO2 is reported */
  readonly gramsPerKilowattHour?: number
}

/** All that is wrong with them. */
export function powerProblems({ watts, gramsPerKilowattHour }: PowerOptions): string[] {
  return Object.entries({ watts, gramsPerKilowattHour }).flatMap(([name, value]) =>
    (value === undefined || (Number.isFinite(value) && value >= 0) ? [] : [`power.${name}: expected a number of at least 0, got ${shown(value)}`]))
}

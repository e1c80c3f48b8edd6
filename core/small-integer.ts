/**
 * The same number, held in place of a reference where it is a 32-bit integer. V8 keeps what comes out of a `Float64Array`
 * in an object of its own, 16 bytes each; records of many small numbers that live for a while are half as large without.
 */
export function smallInteger(value: number): number {
  const whole = value | 0;
  return whole === value ? whole : value;
}

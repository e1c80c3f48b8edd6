/** Arithmetic of event ranges: positions in a file are 1-based, both ends included. */

/** Events from `startEvent` through `lastEvent`. */
export function eventCountOf(range: { readonly startEvent: number; readonly lastEvent: number }): number {
  return range.lastEvent - range.startEvent + 1;
}

/** Assertions: a failed one is a bug in granule, not an operating failure (see `core/errors.ts`). */

export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Throws {@link AssertionFailure} unless `condition` holds. `message` states the invariant that was broken. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(`broken invariant: ${message}`);
}

/** Ends a `switch` over a union: the compiler refuses it while a member is unhandled. */
export function assertNever(value: never, what: string): never {
  throw new AssertionFailure(`unhandled ${what}: ${JSON.stringify(value)}`);
}

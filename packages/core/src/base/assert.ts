/**
 * Invariants. A broken one means that this process can no longer be trusted: the caller lets it escape,
 * `host` turns it into exit code 70, and the peer goes on serving.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/**
 * Takes away what would make two runs of a seed differ: `Date` (its constructor, too: a patched `Date.now` does not catch
 * `new Date()`), timers, `performance.now`, `Math.random`. While `fn` runs, each of them throws.
 */

const NAMES = [
  'Date', 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'queueMicrotask', 'fetch',
] as const;

export function withoutAmbience<T>(fn: () => T): T {
  const undo: (() => void)[] = [];
  const replace = (owner: object, name: string): void => {
    const before = Object.getOwnPropertyDescriptor(owner, name);
    if (before === undefined) return;
    const thrower = function forbidden(): never {
      throw new Error(`${name} in a simulation: only the seed may decide`);
    };
    for (const field of ['now', 'parse', 'UTC']) Object.defineProperty(thrower, field, { value: thrower });
    Object.defineProperty(owner, name, { value: thrower, configurable: true, writable: true });
    undo.push(() => Object.defineProperty(owner, name, before));
  };
  for (const name of NAMES) replace(globalThis, name);
  replace(Math, 'random');
  // `now` is the prototype's: an own one hides it.
  Object.defineProperty(performance, 'now', {
    value: () => {
      throw new Error('performance.now in a simulation: only the seed may decide');
    },
    configurable: true,
  });
  undo.push(() => Reflect.deleteProperty(performance, 'now'));
  try {
    return fn();
  } finally {
    for (const restore of undo.reverse()) restore();
  }
}

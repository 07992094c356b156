/**
 * SIGINT and SIGTERM: the fault under way is undone before the end. A second one ends the process at once, and leaves what is.
 */
const CODES = { SIGINT: 130, SIGTERM: 143 } as const;

let signalled: keyof typeof CODES | null = null;

/** In place of whatever listens to these signals so far. */
export function undoWhenInterrupted(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.removeAllListeners(signal);
    process.on(signal, () => {
      if (signalled !== null) process.exit(CODES[signal]);
      signalled = signal;
      process.stderr.write(`${signal}: the fault is being undone; once more ends at once\n`);
    });
  }
}

/** @throws Error once a signal has come. */
export function requireUninterrupted(): void {
  if (signalled !== null) throw new Error(`aborted: ${signalled}`);
}

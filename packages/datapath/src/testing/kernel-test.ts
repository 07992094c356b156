/** What tests of the control side share: it works by timers that keep no process alive, on a kernel that tells nobody when it is done. */
import type { Log } from '@tandem/core';
import type { Test } from 'tap';

const PATIENCE_MS = 20_000;
const LOOK_MS = 10;

export const NO_LOG: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The process goes on until the test is over. */
export function staysAlive(t: Pick<Test, 'teardown'>): void {
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => {
    clearInterval(alive);
  });
}

/** Looks until the condition holds; false: it does not within PATIENCE_MS. */
export async function until(holds: () => boolean): Promise<boolean> {
  const byMs = performance.now() + PATIENCE_MS;
  while (!holds() && performance.now() < byMs) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  return holds();
}

/**
 * Waiting for something that a test cannot be told of: asks again every few milliseconds until it is so or the deadline
 * passes. For all else there are events.
 */
import { setTimeout as pause } from 'node:timers/promises';

const ASK_EVERY_MS = 10;
/** For what must happen at all: a guard against hanging on a machine that does much else, and no bound of the product. */
export const DEADLINE_MS = 30_000;

/** The first value that is not null or undefined. @throws Error naming `what` at the deadline, with the last failure as its cause. */
export async function until<T>(what: string, deadlineMs: number, ask: () => T | null | undefined | Promise<T | null | undefined>): Promise<T> {
  const started = performance.now();
  let cause: unknown;
  while (performance.now() - started <= deadlineMs) {
    try {
      const found = await ask();
      if (found !== null && found !== undefined) return found;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await pause(ASK_EVERY_MS);
  }
  throw new Error(`${what}: not within ${String(deadlineMs)} ms`, { cause });
}

/** Rejects with `what` when the promise takes longer; its timer is gone afterwards. */
export async function within<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = globalThis.setTimeout(() => {
      reject(new Error(`${what}: not within ${String(deadlineMs)} ms`));
    }, deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

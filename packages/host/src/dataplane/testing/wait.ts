/** Waiting in tests: for a promise or for a condition that sends no event, both with a deadline. */
const LOOK_EVERY_MS = 5;
/** For what must happen at all: a guard against hanging on a machine that does much else, and no bound of the product. */
export const DEADLINE_MS = 20_000;

/** @throws Error naming `what` when the promise takes longer. */
export async function within<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again and again until it is so. @throws Error naming `what` at the deadline. */
export async function until(what: string, deadlineMs: number, isSo: () => boolean): Promise<void> {
  const started = performance.now();
  while (!isSo()) {
    if (performance.now() - started > deadlineMs) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

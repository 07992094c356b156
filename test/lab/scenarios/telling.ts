/** How a scenario tells what it does: steps, what was done, what was expected and what was seen. Who listens prints it or asserts it. */
import { setTimeout as pause } from 'node:timers/promises';

export type Told =
  | { readonly kind: 'step'; readonly title: string }
  | { readonly kind: 'did'; readonly what: string }
  | { readonly kind: 'saw'; readonly expected: string; readonly seen: string; readonly isSo: boolean };

/** What was seen, and whether it is what was expected. */
export interface Finding {
  readonly seen: string;
  readonly isSo: boolean;
}

/** Asking starts programs. */
const ASK_EVERY_MS = 100;
const SEEN_LENGTH_MAX = 2_000;

export class Telling {
  private readonly listen: (told: Told) => void;

  constructor(listen: (told: Told) => void) {
    this.listen = listen;
  }

  step(title: string): void {
    this.listen({ kind: 'step', title });
  }

  did(what: string): void {
    this.listen({ kind: 'did', what });
  }

  expect(expected: string, { seen, isSo }: Finding): void {
    this.listen({ kind: 'saw', expected, seen: seen.length > SEEN_LENGTH_MAX ? `${seen.slice(0, SEEN_LENGTH_MAX)}…` : seen, isSo });
  }

  /** For what comes a moment later: asks again until it is so, or tells what was seen last. */
  async expectSoon(expected: string, deadlineMs: number, ask: () => Promise<Finding>): Promise<void> {
    const started = performance.now();
    for (;;) {
      let found: Finding;
      try {
        found = await ask();
      } catch (error) {
        found = { seen: error instanceof Error ? error.message : String(error), isSo: false };
      }
      const passedMs = performance.now() - started;
      if (found.isSo || passedMs > deadlineMs) {
        this.expect(expected, { seen: `${found.seen} (after ${(passedMs / 1000).toFixed(1)} s)`, isSo: found.isSo });
        return;
      }
      await pause(ASK_EVERY_MS);
    }
  }
}

import { status } from '@grpc/grpc-js';
import type { Snapshot } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import { bootTimeMs } from 'node-reuseport';
import t, { type Test } from 'tap';
import { SpacedLog } from '../pair/spaced-log.js';
import { LogLines } from '../state/testing/cache-rig.js';
import { ServedState } from './served-state.js';
import { StateTeller, type TellerTimes } from './state-teller.js';

const { NO_ERROR, FORMAT_ERROR } = fqdnPb.ResponseCode;
const TIMES: TellerTimes = { stateEveryMs: 20, answerWithinMs: 10_000, refusedAgainMs: 60 };

function snapshotOf(hash: string): Snapshot {
  return { revision: 1, hash, nodeName: 'n', endpoints: [], identities: [], services: [], ruleSets: [], fqdnSelectors: [], policies: [] };
}

interface Rig {
  readonly teller: StateTeller;
  readonly failed: status[];
  readonly enforce: (hash: string) => void;
  /** When the next state comes. */
  readonly next: () => Promise<number>;
  readonly answer: (response: fqdnPb.ResponseCode) => void;
}

function rig(t: Test, times: Partial<TellerTimes> = {}): Rig {
  let snapshot = snapshotOf('first');
  const failed: status[] = [];
  const sent: number[] = [];
  let wake = (): void => undefined;
  const teller = new StateTeller({
    snapshot: () => snapshot, served: new ServedState(), spaced: new SpacedLog(new LogLines()), times: { ...TIMES, ...times },
    write: () => {
      sent.push(bootTimeMs());
      wake();
    },
    onFail: (code) => {
      failed.push(code);
      wake();
    },
  });
  t.teardown(() => teller.end());
  teller.pump();
  return {
    teller, failed,
    enforce: (hash) => {
      snapshot = snapshotOf(hash);
      teller.pump();
    },
    next: async () => {
      while (sent.length === 0 && failed.length === 0) await new Promise<void>((resolve) => { wake = resolve; });
      return sent.shift() ?? NaN;
    },
    answer: (response) => teller.answered({ response, requestId: '' }),
  };
}

/** Nothing else runs: timers that are due meanwhile are so when it returns. */
function block(ms: number): void {
  for (const untilMs = bootTimeMs() + ms; bootTimeMs() < untilMs;);
}

t.test('a pause that ends in the midst of another state leaves the time for its answer alone', async (t) => {
  const { enforce, next, answer, failed } = rig(t, { answerWithinMs: 80 });
  await next();
  answer(NO_ERROR);
  enforce('second');
  block(TIMES.stateEveryMs + 5);
  enforce('third');
  await next();
  const answeredAfterMs = 40;
  await new Promise((resolve) => { setTimeout(resolve, answeredAfterMs); });
  answer(NO_ERROR);
  await new Promise((resolve) => { setTimeout(resolve, 120); });
  t.strictSame(failed, [], 'it has answered in time');
});

t.test('who does not answer is given up', async (t) => {
  const { next, failed } = rig(t, { answerWithinMs: 30 });
  await next();
  await next();
  t.strictSame(failed, [status.DEADLINE_EXCEEDED]);
});

t.test('a state that is refused comes again after a pause', async (t) => {
  const { next, answer, failed } = rig(t);
  const first = await next();
  answer(FORMAT_ERROR);
  const gap = await next() - first;
  t.ok(gap >= TIMES.refusedAgainMs, `${gap} ms`);
  t.strictSame(failed, []);
});

t.test('another policy does not wait for that pause, nor does what was refused once', async (t) => {
  const { enforce, next, answer, failed } = rig(t, { refusedAgainMs: 3_600_000 });
  await next();
  answer(FORMAT_ERROR);
  enforce('second');
  await next();
  answer(NO_ERROR);
  enforce('first');
  await next();
  t.strictSame(failed, []);
});

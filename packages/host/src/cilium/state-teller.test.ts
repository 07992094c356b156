import { status } from '@grpc/grpc-js';
import FakeTimers from '@sinonjs/fake-timers';
import type { Snapshot } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import t, { type Test } from 'tap';
import { SpacedLog } from '../pair/spaced-log.js';
import { LogLines } from '../state/testing/cache-rig.js';
import { ServedState } from './served-state.js';
import { StateTeller, type TellerTimes } from './state-teller.js';

const { NO_ERROR, FORMAT_ERROR } = fqdnPb.ResponseCode;
const TIMES: TellerTimes = { stateEveryMs: 1_000, answerWithinMs: 30_000, refusedAgainMs: 5_000 };

function snapshotOf(hash: string): Snapshot {
  return { revision: 1, hash, nodeName: 'n', endpoints: [], identities: [], services: [], ruleSets: [], fqdnSelectors: [], policies: [] };
}

interface Rig {
  readonly teller: StateTeller;
  readonly failed: status[];
  readonly enforce: (hash: string) => void;
  /** When the next state came, or the end did: time passes by this and `pass` alone. */
  readonly next: () => number;
  readonly pass: (ms: number) => void;
  readonly answer: (response: fqdnPb.ResponseCode) => void;
}

function rig(t: Test): Rig {
  const clock = FakeTimers.install({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  let snapshot = snapshotOf('first');
  const failed: status[] = [];
  const sent: number[] = [];
  const teller = new StateTeller({
    snapshot: () => snapshot, served: new ServedState(), spaced: new SpacedLog(new LogLines()), times: TIMES,
    write: () => { sent.push(performance.now()); },
    onFail: (code) => { failed.push(code); },
  });
  t.teardown(() => {
    teller.end();
    clock.uninstall();
  });
  teller.pump();
  return {
    teller, failed,
    enforce: (hash) => {
      snapshot = snapshotOf(hash);
      teller.pump();
    },
    next: () => {
      while (sent.length === 0 && failed.length === 0) {
        if (clock.countTimers() === 0) throw new Error('nothing is to come');
        clock.next();
      }
      return sent.shift() ?? NaN;
    },
    pass: (ms) => { clock.tick(ms); },
    answer: (response) => teller.answered({ response, requestId: '' }),
  };
}

t.test('a pause that ends in the midst of another state leaves the time for its answer alone', (t) => {
  const { enforce, next, pass, answer, failed } = rig(t);
  next();
  answer(NO_ERROR);
  // Due in the same moment as the pause that begins next, and before it.
  setTimeout(() => { enforce('third'); }, TIMES.stateEveryMs);
  enforce('second');
  t.equal(next(), TIMES.stateEveryMs);
  pass(TIMES.answerWithinMs - 1);
  answer(NO_ERROR);
  pass(TIMES.answerWithinMs);
  t.strictSame(failed, [], 'it has answered in time');
  t.end();
});

t.test('who does not answer is given up', (t) => {
  const { next, failed, pass } = rig(t);
  next();
  pass(TIMES.answerWithinMs - 1);
  t.strictSame(failed, []);
  pass(1);
  t.strictSame(failed, [status.DEADLINE_EXCEEDED]);
  t.end();
});

t.test('a state that is refused comes again after a pause', (t) => {
  const { next, answer, failed } = rig(t);
  const first = next();
  answer(FORMAT_ERROR);
  t.equal(next() - first, TIMES.refusedAgainMs);
  t.strictSame(failed, []);
  t.end();
});

t.test('another policy does not wait for that pause, nor does what was refused once', (t) => {
  const { enforce, next, answer, failed } = rig(t);
  next();
  answer(FORMAT_ERROR);
  enforce('second');
  t.equal(next(), TIMES.stateEveryMs);
  answer(NO_ERROR);
  enforce('first');
  t.equal(next(), 2 * TIMES.stateEveryMs);
  t.strictSame(failed, []);
  t.end();
});

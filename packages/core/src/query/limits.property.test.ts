import fc from 'fast-check';
import t from 'tap';
import { QueryView } from '@tandem/dns';
import { monoMs } from '../base/seams.js';
import { PolicyIndex } from '../policy/decide.js';
import { Counters } from './counters.js';
import { BURST_MIN, QueryLimiter } from './limits.js';
import { limitedSnapshot } from './testing/rig.js';

const ROW = 0;
const ROUNDING = 1e-6;

t.test('in no span of time do more queries pass than the rate and one burst, and none is refused that would fit', (t) => {
  const gapsMs = fc.array(fc.oneof(fc.constant(0), fc.nat(40), fc.nat(3000)), { minLength: 1, maxLength: 150 });
  fc.assert(fc.property(fc.integer({ min: 1, max: 200 }), gapsMs, fc.nat(150), (queryRate, gaps, swapAt) => {
    const snapshot = limitedSnapshot({ queryRate });
    const limiter = new QueryLimiter(new Counters(), false);
    limiter.setIndex(PolicyIndex.build(snapshot, null));
    const view = new QueryView();
    const burst = Math.max(queryRate, BURST_MIN);
    const passedAtMs: number[] = [];
    /** How many more would fit, by the spans that end now: the naive form of the bucket. */
    const room = (nowMs: number) => passedAtMs.reduce(
      (least, sinceMs, i) => Math.min(least, burst + ((nowMs - sinceMs) * queryRate) / 1000 - (passedAtMs.length - i)), burst,
    );
    let nowMs = 1;
    for (const [i, gapMs] of gaps.entries()) {
      nowMs += gapMs;
      if (i === swapAt) limiter.setIndex(PolicyIndex.build({ ...snapshot, revision: 2 }, null));
      const left = room(nowMs);
      const passes = limiter.overrun(ROW, new Uint8Array(0), view, monoMs(nowMs)) === null;
      if (passes ? left < 1 - ROUNDING : left > 1 + ROUNDING) return false;
      if (passes) passedAtMs.push(nowMs);
    }
    return true;
  }), { numRuns: 300 });
  t.end();
});

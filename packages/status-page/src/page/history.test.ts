import t from 'tap';
import { History, HISTORY_MS } from './history.js';
import { answer, timeMs } from './testing/answers.js';

const counted = (queries: number): { counters: Record<string, number> } => ({ counters: { queries, answered: queries - 2, refused: 2, failed: 0 } });

t.test('rates are what was counted between two answers, per second', (t) => {
  const history = new History();
  history.add(answer(0, { agent: { status: counted(100) } }));
  t.equal(history.samples[0].rates.agent, null, 'of one answer there is no rate');
  history.add(answer(2, { agent: { status: counted(300) } }));
  t.strictSame(history.samples[1].rates.agent, { queries: 100, answered: 100, refused: 0, failed: 0 });
  t.end();
});

t.test('a start of the process and an answer that did not come leave gaps, not wrong numbers', (t) => {
  const history = new History();
  history.add(answer(0, { agent: { status: counted(1_000) } }));
  history.add(answer(1, { agent: { status: { ...counted(5), incarnation: 'bbbb' } } }));
  t.equal(history.samples[1].rates.agent, null, 'another process counts from zero');
  history.add(answer(2, { agent: { cause: 'gone' } }));
  t.equal(history.samples[2].rates.agent, null);
  t.not(history.samples[2].rates['dns-proxy'], null, 'the other one goes on');
  history.add(answer(3, { agent: { status: { ...counted(50), incarnation: 'bbbb' } } }));
  t.equal(history.samples[3].rates.agent, null, 'what was counted meanwhile belongs to no second');
  history.miss(timeMs(4));
  t.equal(history.samples[4].rates['dns-proxy'], null);
  t.end();
});

t.test('percentiles are of the last seconds, and of both members together', (t) => {
  const history = new History();
  const latency = (buckets: number[]) => ({ status: { latency: { boundsMs: [1, 10], buckets } } });
  history.add(answer(0, { 'agent': latency([1_000, 0, 0]), 'dns-proxy': latency([0, 0, 0]) }));
  history.add(answer(1, { 'agent': latency([1_010, 0, 0]), 'dns-proxy': latency([0, 0, 10]) }));
  const sample = history.samples[1];
  t.match(sample.latency.agent, { p50: 0.5, isOpen: false });
  t.match(sample.latency['dns-proxy'], { p50: 10, isOpen: true });
  t.match(sample.pairLatency, { p50: 1, p99: 10, isOpen: true });
  t.end();
});

t.test('the same answer again is no sample, and five minutes are kept', (t) => {
  const history = new History();
  t.ok(history.add(answer(0)));
  t.notOk(history.add(answer(0.01)));
  for (let second = 1; second <= 700; second++) history.add(answer(second));
  t.ok(history.samples.length <= HISTORY_MS / 1000 + 1, `${String(history.samples.length)} samples`);
  t.equal(history.samples.at(-1)?.timeMs, timeMs(700));
  history.add(answer(650));
  t.equal(history.samples.at(-1)?.timeMs, timeMs(700), 'a clock that went back a little');
  t.end();
});

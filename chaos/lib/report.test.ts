import t from 'tap';
import { killAgent } from '../drills/kill-agent.js';
import { memberRate, reportOf } from './report.js';
import { worstHungUs } from './run.js';
import type { RunResult } from './run.js';
import type { Sample } from './sampler.js';
import { complaintsOf, tableOf } from './table.js';

const MS = 1_000_000n;

function sample(atMs: number, answered: number | null): Sample {
  return { atNs: BigInt(atMs) * MS, role: 'agent', answered };
}

const RESULT: RunResult = {
  options: { rate: 5_000, upstreamDelayMs: 5, slots: 16_384, isControl: false, repeat: 1, seed: 7 },
  figures: { sent: 100, answered: 99, lost: 1, twice: 0, crossed: 0, wrong: 0, failed: 0, refused: 0, worstMs: 12.34, worstHungMs: 0, steadyWorstMs: 10, convergeMs: 900 },
  verdicts: [{ bound: 'lost ≤ 0', value: 1, holds: false }],
  proofs: [{ what: 'agent was <killed>', holds: true, detail: '"SIGKILL" & gone' }],
  marks: [{ atNs: 20n * MS, kind: 'fault', text: 'kill agent', isHang: false }],
  samples: [sample(0, 0), sample(100, 50)],
  load: {
    sent: 100, answered: 99, lost: 1, twice: 0, wrong: 0, failed: 0, refused: 0, late: 0, unexpected: 0, resets: 0, p50Us: 1, p99Us: 2, p999Us: 3, worstUs: 12_340,
    startNs: '0', binMs: 10, lostShown: [{ atMs: 25, port: 4_711, name: 'h1.bench.test.', why: 'no answer' }],
    bins: Array.from({ length: 10 }, () => [10, 10, 0, 0, 12_340, 100] as const),
  },
  aborted: null,
  passed: false,
};

t.test('a member\'s rate has a gap where it did not say, and where it began anew', (t) => {
  const samples = [sample(0, 0), sample(100, 50), sample(200, null), sample(300, 100), sample(400, 10), sample(500, 20)];
  t.same(memberRate(samples, 'agent', 0n).map(({ value }) => value), [null, 500, null, null, null, 100]);
  t.same(memberRate(samples, 'dns-proxy', 0n), []);
  t.end();
});

t.test('the report is one file, escaped, with the fault in each plot', (t) => {
  const html = reportOf(killAgent, [RESULT]);
  t.notMatch(html, /(?:src|href|@import|url\()/);
  t.match(html, 'agent was &lt;killed&gt; &quot;SIGKILL&quot; &amp; gone');
  t.equal(html.match(/class="fault" x1/g)?.length, 3, 'rate, latency, members');
  t.match(html, /class="bad">fails/);
  t.end();
});

t.test('what did not hold is told, with the query that was lost', (t) => {
  t.match(tableOf([RESULT]), /^run .*lost.*\n +1 +100 +1 .*FAILS$/m);
  t.strictSame(complaintsOf([RESULT]), [
    'run 1: expected lost ≤ 0, was 1',
    'run 1: lost, wrong or answered twice, the first: h1.bench.test. from port 4711 at 25 ms (no answer)',
    'run 1: slowest: 12 ms at 0 ms; 12 ms at 10 ms; 12 ms at 20 ms (0 ms after "kill agent")',
  ]);
  t.strictSame(complaintsOf([{ ...RESULT, verdicts: [], proofs: [], passed: false, load: null }]), ['run 1: the fault is not proven to have happened']);
  t.end();
});

t.test('only the queries sent while a member stood still are held against a hang', (t) => {
  const bins = Array.from({ length: 20 }, (_, index) => [1, 1, 0, 0, index * 1_000, 0] as const);
  const load = { bins, binMs: 10, startNs: '0' };
  const mark = (atMs: number, kind: 'fault' | 'heal', isHang = false) => ({ atNs: BigInt(atMs) * MS, kind, text: '', isHang });
  t.equal(worstHungUs(load, [mark(60, 'fault', true), mark(100, 'heal'), mark(150, 'fault')]), 9_000, 'up to its heal');
  t.equal(worstHungUs(load, [mark(60, 'fault', true)]), 19_000, 'to the end without one');
  t.equal(worstHungUs(load, [mark(60, 'fault'), mark(100, 'heal')]), 0, 'none stood still');
  t.end();
});

import t from 'tap';
import type { Sample } from '../measure.js';
import { htmlOf } from './html.js';
import { markdownOf } from './markdown.js';
import { faultsOf, FORMAT, goalResults } from './results.js';
import type { CaseResult, Results } from './results.js';
import { tableOf } from './table.js';

const sample: Sample = { qps: 100, cpuUsPerQuery: 10, cores: 1, disturbance: 0, p50Us: 50, p99Us: 100, p999Us: 200, maxUs: 300, answered: 100, lost: 0, wrong: 0, unsent: 0, residentMb: 10 };

function caseOf(id: string, rows: Readonly<Record<string, readonly Partial<Sample>[]>>): CaseResult {
  return {
    id, title: id, isPinned: true, load: { traffic: 'allowed', protocol: 'udp', family: 4, clients: 1, window: 1, pods: 1, rateQps: null, hasNewNames: false },
    rows: Object.entries(rows).map(([name, samples]) => ({ name, samples: samples.map((one) => ({ ...sample, ...one })) })),
  };
}

function resultsOf(...cases: CaseResult[]): Results {
  return {
    format: FORMAT, when: '2026-11-22T00:00:00.000Z', tookSeconds: 60, member: 'pair', rounds: 3, seconds: 1, cases,
    machine: { processor: 'p', cores: 2, memoryMb: 1, virtualization: 'none', kernel: 'k', system: 's', node: 'n', peers: { dnsdist: '1' }, revision: 'r' },
  };
}

const outcomes = (results: Results): string[] => goalResults(results).map(({ outcome }) => outcome);

t.test('a goal is judged by the median of the ratios of each round, not by the ratio of medians', (t) => {
  const results = resultsOf(caseOf('allowed', { tandem: [{ qps: 90 }, { qps: 220 }, { qps: 310 }], relay: [{ qps: 100 }, { qps: 200 }, { qps: 300 }] }));
  const [relay] = goalResults(results);
  t.match(relay, { outcome: 'pass', ratio: { min: 0.9, max: 1.1 } });
  t.equal(relay.ratio?.median.toFixed(3), '1.033');
  t.end();
});

t.test('a bound from above is met by what is below it', (t) => {
  const at = (p99Us: number): string[] => outcomes(resultsOf(caseOf('latency-5k', { tandem: [{ p99Us }], relay: [{ p99Us: 100 }] })));
  t.equal(at(125)[4], 'pass');
  t.equal(at(126)[4], 'short');
  t.end();
});

t.test('a goal whose case or contestant was left out is not run', (t) => {
  t.strictSame(new Set(outcomes(resultsOf())), new Set(['not run']));
  t.equal(outcomes(resultsOf(caseOf('allowed', { tandem: [{}] })))[0], 'not run');
  t.end();
});

t.test('what falls short is said with how far', (t) => {
  const page = markdownOf(resultsOf(caseOf('refused', { tandem: [{ qps: 105 }], dnsdist: [{ qps: 100 }] })), '## Notes');
  t.match(page, '- refused-only against dnsdist: 1.05× where 1.40× is the least: 25 % below it.');
  t.match(page, '**short**');
  t.match(page, '## Notes');
  t.end();
});

t.test('an answer that is lost or wrong is a fault of the one that was asked, but for those that are left out', (t) => {
  const results = resultsOf(caseOf('allowed', { tandem: [{ lost: 1 }, { wrong: 2 }], dnsdist: [{ lost: 9 }] }));
  t.strictSame(faultsOf(results, ['dnsdist']), ['allowed: tandem lost 1 and answered 2 wrongly']);
  t.end();
});

t.test('a goal is undecided where others took much of the measured core in most rounds', (t) => {
  const of = (disturbances: readonly number[]): string => outcomes(resultsOf(caseOf('allowed', { tandem: disturbances.map((disturbance) => ({ disturbance })), relay: disturbances.map(() => ({})) })))[0];
  t.equal(of([0.3, 0.3, 0]), 'undecided');
  t.equal(of([0.3, 0, 0]), 'pass');
  t.end();
});

t.test('a run that did not have the machine to itself says so', (t) => {
  const page = (disturbance: number): string => markdownOf(resultsOf(caseOf('allowed', { tandem: [{ disturbance }] })), '');
  t.match(page(0.2), 'Others took 20.0 % of the measured core in the median measurement');
  t.match(page(0.2), 'was not quiet');
  t.notMatch(page(0.01), 'was not quiet');
  t.end();
});

t.test('each report names every contestant of every case', (t) => {
  const results = resultsOf(caseOf('allowed', { 'tandem': [{}], 'a <b>': [{ qps: 33 }] }), caseOf('patterns', { '1 pattern': [{}], '100 patterns': [{ qps: 99 }] }));
  for (const name of ['a <b>', '100 patterns']) t.match(tableOf(results) + markdownOf(results, ''), name);
  t.match(htmlOf(results), 'a &lt;b&gt;');
  t.notMatch(htmlOf(results), '<b>');
  t.notMatch(htmlOf(results), /NaN|Infinity|undefined/);
  t.end();
});

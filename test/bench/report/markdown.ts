/** docs/performance.md: a run's figures, what falls short and how far, how it was measured; then the notes that are written by hand. */
import type { Spread } from '../statistics.js';
import { boundOf, goalResults, ratioOf, referenceOf, spreadBy } from './results.js';
import type { CaseResult, GoalResult, Results } from './results.js';
import { conditionsOf, loadOf, ratioWord } from './words.js';

const METHOD = `## How it is measured

\`npm run bench\` (half an hour; \`npm run bench:short\`: the goals alone, 5 minutes) runs everything on one machine over loopback. In each round
all contestants of a case get the same load one after the other, in the other direction every second round. Absolute figures drift with the machine, the
ratio of two contestants in one round does not; a goal is judged by the median of these ratios. Queries are \`h0\` to \`h9999\` under one name, each for A and
AAAA, in random order; every answer is checked.

- Whoever is measured has had 5 seconds of full load before, and 5 at the case's rate where it has one: what counts is steady operation, not code that is still being compiled.
- Each measurement follows a second of full load and half a second of rest: all names were asked for a moment ago, as under steady load.
- **Queries per core**: what is measured, with all its threads, is pinned to one core; generator and upstream to another. \`cores\` says how much of it was used.
- **CPU µs/query**: what the scheduler has accounted to all threads, by answers.
- **tandem** is the whole pair as users run it, both daemons with journal, flows, metrics and FQDN cache, the policy of one pod with 100 patterns; *alone* is one of them, the
  other stopped. Its policy, pods and upstream lie in manifests.
- **relay** (\`test/bench/native/relay.cc\`) moves datagrams in batches and rewrites IDs: no policy, no check of answers, no time-outs, no GSO.
- **dnsdist**: the suffixes in a SuffixMatchNode, all else refused by a rule; one upstream socket, no cache, no health checks, TCP out of order on both sides, one TCP worker where it is pinned.
- **unbound**: one thread, forwarding, \`local-zone: "." refuse\` and the suffixes transparent, no validation, no caching of what is forwarded.
- **dnsmasq**: \`cache-size=0\`, \`dns-forward-max=10000\`, one \`server=\` for each suffix, so that all else is refused.
- **go** (\`test/bench/go\`): a forwarder on miekg/dns in the way of Cilium's DNS proxy: a goroutine for each query, one regular expression of all patterns, shared connections for each client address and port.
- Tandem's sockets have receive buffers of 16 MB; the peers are given 4 MB, as a resolver's administrator does by \`net.core.rmem_default\`: far more than the queries that are open at a time, which the kernel's default does not hold.
- **Open loop**: query *n* is due *n*/rate after the start, whatever became of those before it, and its latency counts from then.
`;

export function markdownOf(results: Results, notes: string): string {
  return [
    '# Performance', '',
    '<!-- Generated from test/bench/results/latest.json and docs/performance-notes.md by `npm run bench:page -- FILE`. -->', '',
    ...conditionsOf(results).map((line) => `${line}\n`),
    '## Goals', '', ...goalTable(results), '', ...shortfalls(results), METHOD, notes.trim(), '', '## Figures', '',
    `Median (least–largest) of ${String(results.rounds)} rounds; latencies and memory are medians.`, '',
    ...results.cases.flatMap(caseSection),
  ].join('\n').replace(/\n+$/, '\n');
}

function goalTable(results: Results): string[] {
  const rows = goalResults(results).map(({ goal, ratio, cpuRatio, outcome }) => `| ${goal.title} | ${boundOf(goal)} | ${times(ratio)} | ${times(cpuRatio)} | ${outcome === 'short' ? '**short**' : outcome} |`);
  return ['| | goal | ratio | by CPU time | |', '|---|---|---|---|---|', ...rows];
}

function shortfalls(results: Results): string[] {
  const short = goalResults(results).filter(({ outcome }) => outcome === 'short');
  if (short.length === 0) return [];
  return ['What falls short, and how far:', '', ...short.map((one) => `- ${one.goal.title}: ${howFar(one)}`), ''];
}

function howFar({ goal, ratio }: GoalResult): string {
  const median = ratio!.median;
  if (goal.atMost !== undefined) return `${median.toFixed(2)}× where ${goal.atMost.toFixed(2)}× is the most: ${percent(median / goal.atMost - 1)} above it.`;
  return `${median.toFixed(2)}× where ${goal.atLeast!.toFixed(2)}× is the least: ${percent(1 - median / goal.atLeast!)} below it.`;
}

function caseSection(one: CaseResult): string[] {
  const reference = referenceOf(one);
  const head = ['', 'queries/s', 'CPU µs/query', 'cores', 'p50 µs', 'p99 µs', 'p99.9 µs', 'RSS MB', 'lost', ratioWord(one)];
  const rows = one.rows.map((row) => {
    const median = (value: 'cores' | 'p50Us' | 'p99Us' | 'p999Us' | 'residentMb', digits = 0): string => spreadBy(row, (sample) => sample[value]).median.toFixed(digits);
    const ratio = row.name === reference ? null : ratioOf(one, reference, row.name, (sample) => (one.load.rateQps === null ? sample.qps : sample.p99Us));
    return [
      row.name, spread(spreadBy(row, ({ qps }) => qps), 0), spread(spreadBy(row, (sample) => sample.cpuUsPerQuery), 2), median('cores', 2), median('p50Us'), median('p99Us'), median('p999Us'),
      median('residentMb'), String(row.samples.reduce((sum, sample) => sum + sample.lost, 0)), times(ratio),
    ];
  });
  return [`### ${one.title}`, '', loadOf(one), '', ...[head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`), ''];
}

function times(ratio: Spread | null): string {
  return ratio === null ? '' : `${spread(ratio, 2)}×`;
}

function spread({ median, min, max }: Spread, digits: number): string {
  const [shown, ...ends] = [median, min, max].map((value) => value.toFixed(digits).replace(/\B(?=(\d{3})+$)/g, digits === 0 ? ',' : ''));
  return `${shown} (${ends.join('–')})`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(0)} %`;
}

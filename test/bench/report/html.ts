/** A run as one HTML page that needs nothing else: goals, then plots and figures of each case. */
import { showSpread } from '../statistics.js';
import { barPlot, escape, pointPlot } from './plot.js';
import { boundOf, goalResults, ratioOf, referenceOf, spreadBy } from './results.js';
import type { CaseResult, Results } from './results.js';
import { conditionsOf, loadOf, ratioWord } from './words.js';

const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2330; --quiet: #5b6472; --line: #d9dde3; --ours: #0b6bcb; --theirs: #a4adba; --good: #1a7f4b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181f; --ink: #e6e9ee; --quiet: #9aa4b2; --line: #303845; --ours: #5aa9f7; --theirs: #626d7c; --good: #5cc98e; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 64px; max-width: 1060px; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 2px; }
p { margin: 4px 0 12px; color: var(--quiet); }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: 4px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 16px 28px; margin: 12px 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 5px 6px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--quiet); font-weight: 600; }
tr.ours td { font-weight: 600; }
.pass { color: var(--good); font-weight: 700; } .short { color: var(--bad); font-weight: 700; } .not-run, .undecided { color: var(--quiet); }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .label { text-anchor: end; } svg .tick { text-anchor: middle; fill: var(--quiet); } svg .unit { fill: var(--quiet); }
svg .grid { stroke: var(--line); } svg .spread { stroke: var(--ink); stroke-width: 1.2; fill: none; }
svg .ours { fill: var(--ours); stroke: var(--ours); } svg .theirs { fill: var(--theirs); stroke: var(--theirs); }
svg circle { stroke-width: 1.5; } svg circle.level-0 { fill: var(--ground); } svg circle.level-1 { fill-opacity: 0.55; }
`;

export function htmlOf(results: Results): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Tandem: benchmark of ${escape(results.when)}</title><style>${STYLE}</style></head>
<body><h1>Tandem: benchmark</h1>
${conditionsOf(results).map((line) => `<p>${escape(line).replaceAll(/\*\*(.*?)\*\*/g, '<strong>$1</strong>')}</p>`).join('\n')}
${goalSection(results)}
${results.cases.map(caseSection).join('\n')}
</body></html>
`;
}

function goalSection(results: Results): string {
  const rows = goalResults(results).map(({ goal, ratio, cpuRatio, outcome }) => `<tr><td>${escape(goal.title)}</td><td>${boundOf(goal)}</td>` +
    `<td>${ratio === null ? '' : `${showSpread(ratio, 2)}×`}</td><td>${cpuRatio === null ? '' : `${showSpread(cpuRatio, 2)}×`}</td><td class="${outcome.replace(' ', '-')}">${outcome}</td></tr>`);
  return `<h2>Goals</h2><p>Median (least–largest) of the ratios of ${String(results.rounds)} rounds. By CPU time: queries per CPU second.</p>
<div class="scroll"><table><tr><th></th><th>goal</th><th>ratio</th><th>by CPU time</th><th></th></tr>${rows.join('')}</table></div>`;
}

function caseSection(one: CaseResult): string {
  return `<section id="${one.id}"><h2>${escape(one.title)}</h2><p>${escape(loadOf(one))}</p><div class="plots">${plotsOf(one)}</div>${figuresOf(one)}</section>`;
}

function plotsOf(one: CaseResult): string {
  const bars = (title: string, unit: string, value: 'qps' | 'cpuUsPerQuery'): string => figure(title, barPlot(
    `${one.title}: ${title}`, unit, one.rows.map((row) => ({ name: row.name, value: spreadBy(row, (sample) => sample[value]), isOurs: isOurs(row.name) })),
  ));
  const latency = figure('Latency', pointPlot(`${one.title}: latency`, 'µs', ['p50', 'p99', 'p99.9'], one.rows.map((row) => ({
    name: row.name, isOurs: isOurs(row.name), values: (['p50Us', 'p99Us', 'p999Us'] as const).map((value) => spreadBy(row, (sample) => sample[value]).median),
  }))));
  const cpu = bars('CPU time', 'µs per query, all threads', 'cpuUsPerQuery');
  return one.load.rateQps === null ? bars('Speed', 'queries/s', 'qps') + cpu : latency + cpu;
}

function figuresOf(one: CaseResult): string {
  const reference = referenceOf(one);
  const rows = one.rows.map((row) => {
    const median = (value: 'p50Us' | 'p99Us' | 'p999Us' | 'residentMb'): string => spreadBy(row, (sample) => sample[value]).median.toFixed(0);
    const ratio = row.name === reference ? '' : `${showSpread(ratioOf(one, reference, row.name, (sample) => (one.load.rateQps === null ? sample.qps : sample.p99Us))!, 2)}×`;
    const cells = [
      showSpread(spreadBy(row, ({ qps }) => qps), 0), showSpread(spreadBy(row, (sample) => sample.cpuUsPerQuery), 2), median('p50Us'), median('p99Us'), median('p999Us'), median('residentMb'),
      String(row.samples.reduce((sum, sample) => sum + sample.lost, 0)), ratio,
    ];
    return `<tr${isOurs(row.name) ? ' class="ours"' : ''}><td>${escape(row.name)}</td>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<div class="scroll"><table><tr><th></th>${['queries/s', 'CPU µs/query', 'p50 µs', 'p99 µs', 'p99.9 µs', 'RSS MB', 'lost', escape(ratioWord(one))].map((title) => `<th>${title}</th>`).join('')}</tr>${rows.join('')}</table></div>`;
}

function figure(title: string, content: string): string {
  return `<figure><figcaption>${title}</figcaption>${content}</figure>`;
}

function isOurs(name: string): boolean {
  return !['relay', 'dnsdist', 'unbound', 'dnsmasq', 'go'].some((peer) => name.startsWith(peer));
}

/**
 * A drill's runs as one HTML file that needs nothing else: statement, figures, proofs, and per run a plot over time of
 * rate, latency and which member answered, with the faults marked.
 */
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { linePanel } from './plot.js';
import type { Panel, Point, Series } from './plot.js';
import { boundText } from './drill.js';
import type { Statement } from './drill.js';
import type { LoadResult } from './load.js';
import type { RunResult } from './run.js';
import type { Sample } from './sampler.js';

/** Bins that one point of the rate joins: a rate over 10 ms is mostly noise. */
const BINS_PER_POINT = 5;
const MS_PER_SECOND = 1_000;
const US_PER_MS = 1_000;
const NS_PER_MS = 1e6;

export function reportOf(drill: Statement, results: readonly RunResult[]): string {
  const passed = results.every((one) => one.passed);
  const expected = results[0]?.options.isControl === true ? (drill.expectedOfControl ?? []) : drill.expected;
  const rows: readonly (readonly [string, string])[] = [
    ['Hypothesis', drill.hypothesis], ['Steady state', drill.steadyState], ['Fault', drill.fault], ['Expected', expected.map(boundText).join(', ')],
    ['Abort', `after ${String(drill.abort.afterSeconds)} s, or when more than ${String(drill.abort.lostMost)} are lost`],
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${text(drill.name)}: ${passed ? 'holds' : 'fails'}</title><style>${STYLE}</style></head>
<body><h1>${text(drill.name)} <span class="${passed ? 'good' : 'bad'}">${passed ? 'holds' : 'fails'}</span></h1>
<table class="plain">${rows.map(([name, value]) => `<tr><th>${name}</th><td>${text(value)}</td></tr>`).join('')}</table>
${results.map(runSection).join('\n')}
</body></html>
`;
}

function runSection(result: RunResult, index: number): string {
  const { figures, options, load } = result;
  const mode = options.isControl ? ', control run without stealing' : '';
  const head = `<h2>Run ${String(index + 1)} <span class="${result.passed ? 'good' : 'bad'}">${result.passed ? 'holds' : 'fails'}</span></h2>
<p>${String(options.rate)} a second, upstream ${String(options.upstreamDelayMs)} ms${options.slots === null ? '' : `, ${String(options.slots)} slots`}, seed ${String(options.seed)}${mode}</p>`;
  const numbers = figures === null ? '' : `<table><tr>${Object.keys(figures).map((name) => `<th>${name}</th>`).join('')}</tr><tr>${Object.values(figures).map((value) => `<td>${String(Math.round(Number(value) * 10) / 10)}</td>`).join('')}</tr></table>`;
  const items = [
    ...(result.aborted === null ? [] : [`<li class="bad"><pre>${text(result.aborted)}</pre></li>`]),
    ...result.verdicts.map((one) => `<li class="${one.holds ? 'good' : 'bad'}">${text(one.bound)}: ${String(one.value)}</li>`),
    ...result.proofs.map((one) => `<li class="${one.holds ? 'good' : 'bad'}">proof: ${text(one.what)} ${text(one.detail)}</li>`),
  ];
  return `${head}${numbers}${load === null ? '' : plotsOf(result, load)}<details><summary>Figures and proofs</summary><ul>${items.join('')}</ul></details>`;
}

function plotsOf({ marks, samples }: RunResult, load: LoadResult): string {
  const startNs = BigInt(load.startNs);
  const endMs = load.bins.length * load.binMs;
  const frame = {
    endMs,
    marks: marks.map(({ atNs, kind, text: label }) => ({ atMs: Number(atNs - startNs) / NS_PER_MS, isFault: kind === 'fault', label })),
  };
  const panels: readonly Panel[] = [
    { title: 'queries a second', series: [rateSeries(load, 0, 'sent', 'c0'), rateSeries(load, 1, 'answered', 'c1')] },
    { title: 'worst latency, ms', series: [{ name: 'worst', style: 'c2', points: load.bins.map((bin, index) => ({ atMs: index * load.binMs, value: bin[4] / US_PER_MS })) }] },
    { title: 'answers a second, by member', series: ROLES.map((role, index) => ({ name: role, style: `c${String(index + 3)}`, points: memberRate(samples, role, startNs) })) },
  ];
  return panels.map((panel) => linePanel(panel, frame)).join('');
}

function rateSeries(load: LoadResult, field: 0 | 1, name: string, style: string): Series {
  const points: Point[] = [];
  for (let at = 0; at + BINS_PER_POINT <= load.bins.length; at += BINS_PER_POINT) {
    const count = load.bins.slice(at, at + BINS_PER_POINT).reduce((sum, bin) => sum + bin[field], 0);
    points.push({ atMs: at * load.binMs, value: count * MS_PER_SECOND / (BINS_PER_POINT * load.binMs) });
  }
  return { name, style, points };
}

/** From the growth of what the member says; null (a gap) where it did not say, or began anew. */
export function memberRate(samples: readonly Sample[], role: Role, startNs: bigint): Point[] {
  const points: Point[] = [];
  let last: { readonly atMs: number; readonly count: number } | null = null;
  for (const sample of samples.filter((one) => one.role === role)) {
    const atMs = Number(sample.atNs - startNs) / NS_PER_MS;
    const count = sample.answered;
    const isGap = count === null || last === null || count < last.count;
    points.push({ atMs, value: isGap ? null : (count - last!.count) * MS_PER_SECOND / (atMs - last!.atMs) });
    last = count === null ? null : { atMs, count };
  }
  return points;
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const STYLE = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #8884}table.plain th,table.plain td{text-align:left;vertical-align:top}
.good{color:#17803d}.bad{color:#c62828}svg{width:100%;height:auto;display:block;margin:.6rem 0;overflow:visible}svg text{font-size:11px;fill:currentColor}
svg .axis{stroke:#8886;fill:none}svg .fault{stroke:#c62828}svg .heal{stroke:#17803d;stroke-dasharray:4 3}svg polyline{fill:none;stroke-width:1.4}
.c0{stroke:#888;color:#888}.c1{stroke:#1f6fd0;color:#1f6fd0}.c2{stroke:#b45309;color:#b45309}.c3{stroke:#7c3aed;color:#7c3aed}.c4{stroke:#0f8a8a;color:#0f8a8a}
@media(prefers-color-scheme:dark){.good{color:#6fcf8e}.bad{color:#ff8a80}}`;

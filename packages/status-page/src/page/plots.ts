/**
 * The three plots: queries per second of each member, on one scale, and latency of the pair. Values stand as text beside them: of
 * now, or of the moment under the pointer. uPlot draws; it comes as a script of its own and writes styles through the CSSOM only.
 */
import type UPlot from 'uplot';
import type { Role } from './api.js';
import { el, setText } from './dom.js';
import { clockText, countText, millisecondsText, rateText } from './format.js';
import { HISTORY_MS, type History, type Percentiles, type Rates, type Sample } from './history.js';
import { ROLES } from './pair-model.js';

const uPlot = (globalThis as unknown as { readonly uPlot: typeof UPlot }).uPlot;

type Values = (number | null)[];

interface SeriesSpec {
  readonly label: string;
  /** CSS custom property with its colour. */
  readonly colour: string;
  readonly isFilled?: boolean;
  /** Dashes, so that no line is told by its colour alone. */
  readonly dash?: number[];
  readonly of: (sample: Sample) => number | null;
}

interface PlotSpec {
  readonly host: HTMLElement;
  readonly title: string;
  readonly unit: string;
  readonly text: (value: number | null) => string;
  readonly series: readonly SeriesSpec[];
  /** No smaller than this at the top. */
  readonly topMin: number;
}

const HEIGHT_PX = 168;
const HEADROOM = 1.15;
const RATE_TOP_MIN = 10;
const LATENCY_TOP_MIN_MS = 1;

export class Plots {
  private readonly history: History;
  private readonly rates: readonly Plot[];
  private readonly latency: Plot;

  constructor(history: History, hosts: Readonly<Record<Role | 'latency', HTMLElement>>) {
    this.history = history;
    const sync = uPlot.sync('time');
    this.rates = ROLES.map((role) => new Plot(rateSpec(role, hosts[role]), sync));
    this.latency = new Plot(latencySpec(hosts.latency), sync);
  }

  draw(): void {
    const { samples } = this.history;
    const tops = this.rates.map((plot) => plot.topOf(samples));
    const top = Math.max(...tops);
    for (const plot of this.rates) plot.draw(samples, top);
    this.latency.draw(samples, this.latency.topOf(samples));
  }

  /** Colours or sizes have changed. */
  rebuild(): void {
    for (const plot of [...this.rates, this.latency]) plot.rebuild();
    this.draw();
  }
}

class Plot {
  private readonly spec: PlotSpec;
  private readonly sync: UPlot.SyncPubSub;
  private readonly canvas = el('div', { 'class': 'plot-canvas', 'aria-hidden': 'true' });
  private readonly values: readonly HTMLElement[];
  private readonly time = el('span', { class: 'plot-time' });
  private plot: UPlot | null = null;
  private data: [number[], ...Values[]] = [[]];
  private top = 1;
  private pointedAt: number | null = null;

  constructor(spec: PlotSpec, sync: UPlot.SyncPubSub) {
    this.spec = spec;
    this.sync = sync;
    this.values = spec.series.map(() => el('dd'));
    const legend = el('dl', { class: 'legend' }, ...spec.series.map(({ label, colour }, index) => (
      el('div', { class: `key key${colour}` }, el('dt', {}, label), this.values[index])
    )));
    spec.host.replaceChildren(el('h3', {}, spec.title, el('span', { class: 'unit' }, spec.unit), this.time), this.canvas, legend);
    new ResizeObserver(() => { this.plot?.setSize({ width: this.width, height: HEIGHT_PX }); }).observe(this.canvas);
  }

  topOf(samples: readonly Sample[]): number {
    let top = this.spec.topMin;
    for (const sample of samples) for (const { of } of this.spec.series) top = Math.max(top, (of(sample) ?? 0) * HEADROOM);
    return top;
  }

  draw(samples: readonly Sample[], top: number): void {
    this.top = top;
    this.data = [samples.map(({ timeMs }) => timeMs / 1000), ...this.spec.series.map(({ of }) => samples.map(of))];
    if (this.plot === null) this.rebuild();
    else this.plot.setData(this.data);
    this.showValues();
  }

  rebuild(): void {
    this.plot?.destroy();
    this.plot = new uPlot(this.options(), this.data, this.canvas);
  }

  private get width(): number {
    return Math.max(200, Math.floor(this.canvas.clientWidth));
  }

  private showValues(): void {
    const index = this.pointedAt;
    this.values.forEach((node, series) => {
      const values = this.data[series + 1] ?? [];
      setText(node, this.spec.text((index === null ? values.at(-1) : values[index]) ?? null));
    });
    setText(this.time, index === null ? '' : clockText((this.data[0][index] ?? 0) * 1000));
  }

  private options(): UPlot.Options {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const axis: UPlot.Axis = {
      stroke: colour('--faint'), font: '11px system-ui, sans-serif', grid: { stroke: colour('--grid'), width: 1 }, ticks: { show: false },
    };
    return {
      width: this.width, height: HEIGHT_PX, padding: [8, 18, 0, 0],
      cursor: { sync: { key: this.sync.key }, drag: { x: false, y: false }, points: { size: 6 } },
      legend: { show: false },
      scales: {
        x: { time: true, range: (_, min, max) => [Math.min(min, max - HISTORY_MS / 1000), max] },
        y: { range: () => [0, this.top] },
      },
      axes: [
        { ...axis, size: 26, space: 54, values: (_, splits) => splits.map((seconds) => clockText(seconds * 1000).slice(0, seconds % 60 === 0 ? -3 : undefined)) },
        { ...axis, size: 48, space: 32, values: (_, splits) => splits.map((value) => this.axisText(value)) },
      ],
      series: [{}, ...this.spec.series.map((series): UPlot.Series => ({
        stroke: colour(series.colour), width: 1.6, points: { show: false }, ...(series.dash === undefined ? {} : { dash: series.dash }),
        ...(series.isFilled === true ? { fill: colour(`${series.colour}-fill`) } : {}),
      }))],
      hooks: {
        setCursor: [(plot) => {
          this.pointedAt = plot.cursor.idx ?? null;
          this.showValues();
        }],
      },
    };
  }

  private axisText(value: number): string {
    return Number.isInteger(value) ? countText(value) : String(Math.round(value * 100) / 100);
  }
}

function rateSpec(role: Role, host: HTMLElement): PlotSpec {
  const rate = (of: (rates: Rates) => number) => (sample: Sample): number | null => {
    const rates = sample.rates[role];
    return rates === null ? null : of(rates);
  };
  return {
    host, title: role, unit: 'per second', text: rateText, topMin: RATE_TOP_MIN,
    series: [
      { label: 'queries', colour: '--queries', of: rate(({ queries }) => queries) },
      { label: 'answered', colour: '--answered', isFilled: true, of: rate(({ answered }) => answered) },
      { label: 'refused', colour: '--refused', dash: [6, 3], of: rate(({ refused }) => refused) },
      { label: 'SERVFAIL', colour: '--failed', dash: [2, 2], of: rate(({ failed }) => failed) },
    ],
  };
}

function latencySpec(host: HTMLElement): PlotSpec {
  const percentile = (of: (latency: Percentiles) => number | null) => (sample: Sample): number | null => sample.pairLatency === null ? null : of(sample.pairLatency);
  return {
    host, title: 'latency of both', unit: 'ms, over 10 s', text: millisecondsText, topMin: LATENCY_TOP_MIN_MS,
    series: [
      { label: 'p50', colour: '--p50', isFilled: true, of: percentile(({ p50 }) => p50) },
      { label: 'p90', colour: '--p90', dash: [6, 3], of: percentile(({ p90 }) => p90) },
      { label: 'p99', colour: '--p99', dash: [2, 2], of: percentile(({ p99 }) => p99) },
    ],
  };
}

/**
 * Plots as inline SVG: bars with the spread of the rounds, and latencies as points on a logarithmic axis. Colours are CSS classes, so that one
 * file serves light and dark.
 */
import type { Spread } from '../statistics.js';

export interface Bar {
  readonly name: string;
  readonly value: Spread;
  readonly isOurs: boolean;
}

export interface Points {
  readonly name: string;
  /** In the order of `labels`. */
  readonly values: readonly number[];
  readonly isOurs: boolean;
}

const WIDTH = 460;
const ROW = 26;
const LABEL_WIDTH = 128;
/** For the figure behind a bar. */
const VALUE_WIDTH = 62;
const TOP = 8;
const AXIS_HEIGHT = 40;
const TICKS_AIM = 4;
const POINT_RADIUS = 5;
const DECADE = 10;

/** Horizontal bars from 0; the line across a bar's end goes from the least to the largest round. */
export function barPlot(title: string, unit: string, bars: readonly Bar[]): string {
  const inner = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const step = niceStep(Math.max(...bars.map(({ value }) => value.max)));
  const most = step * Math.ceil(Math.max(...bars.map(({ value }) => value.max)) / step);
  const x = (value: number): number => LABEL_WIDTH + (value / most) * inner;
  const rows = bars.map(({ name, value, isOurs }, index) => {
    const middle = TOP + index * ROW + ROW / 2;
    return [
      label(name, middle),
      `<rect class="${isOurs ? 'ours' : 'theirs'}" x="${px(LABEL_WIDTH)}" y="${px(middle - 8)}" width="${px(Math.max(1, x(value.median) - LABEL_WIDTH))}" height="16" rx="2"/>`,
      `<path class="spread" d="M${px(x(value.min))} ${px(middle)}H${px(x(value.max))}M${px(x(value.min))} ${px(middle - 4)}v8M${px(x(value.max))} ${px(middle - 4)}v8"/>`,
      `<text class="value" x="${px(x(value.max) + 6)}" y="${px(middle + 4)}">${shortNumber(value.median)}</text>`,
    ].join('');
  });
  const ticks = Array.from({ length: Math.round(most / step) + 1 }, (_, index) => index * step);
  return svg(title, bars.length, [...axis(ticks.map((tick) => ({ at: x(tick), text: shortNumber(tick) })), bars.length, unit), ...rows]);
}

/** A row of points for each; hollow to full in the order of `labels`. */
export function pointPlot(title: string, unit: string, labels: readonly string[], rows: readonly Points[]): string {
  const values = rows.flatMap((row) => row.values).filter((value) => value > 0);
  const [least, most] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values) * 1.01))];
  const x = (value: number): number => LABEL_WIDTH + ((Math.log10(Math.max(value, DECADE ** least)) - least) / Math.max(1, most - least)) * (WIDTH - LABEL_WIDTH - VALUE_WIDTH / 2);
  const drawn = rows.map((row, index) => {
    const middle = TOP + index * ROW + ROW / 2;
    const points = row.values.map((value, i) => `<circle class="${row.isOurs ? 'ours' : 'theirs'} level-${String(i)}" cx="${px(x(value))}" cy="${px(middle)}" r="${String(POINT_RADIUS)}">` +
      `<title>${escape(`${row.name}, ${labels[i]}: ${value.toFixed(0)} ${unit}`)}</title></circle>`);
    return `${label(row.name, middle)}<path class="spread" d="M${px(x(Math.min(...row.values)))} ${px(middle)}H${px(x(Math.max(...row.values)))}"/>${points.join('')}`;
  });
  const ticks = Array.from({ length: most - least + 1 }, (_, index) => DECADE ** (least + index));
  return svg(title, rows.length, [...axis(ticks.map((tick) => ({ at: x(tick), text: shortNumber(tick) })), rows.length, `${unit}, logarithmic: ${labels.join(', ')} from left to right`), ...drawn]);
}

export function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** Three significant figures: 0.85, 6.41, 146k. */
export function shortNumber(value: number): string {
  if (value >= 1e6) return `${trimmed(value / 1e6)}M`;
  if (value >= 1e4) return `${trimmed(value / 1e3)}k`;
  return trimmed(value);
}

function trimmed(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function niceStep(most: number): number {
  const rough = Math.max(most, Number.MIN_VALUE) / TICKS_AIM;
  const power = DECADE ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 2.5, 5, DECADE].find((factor) => factor * power >= rough) ?? DECADE);
}

function axis(ticks: readonly { at: number; text: string }[], rows: number, unit: string): string[] {
  const bottom = TOP + rows * ROW;
  return [
    ...ticks.map(({ at, text }) => `<path class="grid" d="M${px(at)} ${px(TOP)}V${px(bottom)}"/><text class="tick" x="${px(at)}" y="${px(bottom + 15)}">${text}</text>`),
    `<text class="unit" x="${px(LABEL_WIDTH)}" y="${px(bottom + 33)}">${escape(unit)}</text>`,
  ];
}

function label(name: string, middle: number): string {
  return `<text class="label" x="${px(LABEL_WIDTH - 8)}" y="${px(middle + 4)}">${escape(name)}</text>`;
}

function svg(title: string, rows: number, content: readonly string[]): string {
  return `<svg viewBox="0 0 ${String(WIDTH)} ${String(TOP + rows * ROW + AXIS_HEIGHT)}" role="img" aria-label="${escape(title)}">${content.join('')}</svg>`;
}

function px(value: number): string {
  return value.toFixed(1);
}

/** Lines over time as inline SVG. Knows nothing of drills. */
export interface Point {
  readonly atMs: number;
  /** null: a gap. */
  readonly value: number | null;
}

export interface Series {
  readonly name: string;
  /** Class that colours it. */
  readonly style: string;
  readonly points: readonly Point[];
}

export interface Panel {
  readonly title: string;
  readonly series: readonly Series[];
}

export interface Frame {
  readonly endMs: number;
  readonly marks: readonly { readonly atMs: number; readonly isFault: boolean; readonly label: string }[];
}

const WIDTH = 960;
const HEIGHT = 170;
const LEFT = 56;
const TOP = 22;
const BOTTOM = 22;
const TICKS = 8;
const LEGEND_STEP = 110;
const HEAD_ROOM = 1.08;

export function linePanel({ title, series }: Panel, { endMs, marks }: Frame): string {
  const most = HEAD_ROOM * Math.max(1, ...series.flatMap(({ points }) => points.map(({ value }) => value ?? 0)));
  const x = (ms: number): number => LEFT + (WIDTH - LEFT) * Math.min(1, Math.max(0, ms / Math.max(1, endMs)));
  const y = (value: number): number => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most;
  const lines = series.flatMap(({ style, points }) => runsOf(points).map((run) => `<polyline class="${style}" points="${run.map(({ atMs, value }) => `${x(atMs).toFixed(1)},${y(value!).toFixed(1)}`).join(' ')}"/>`));
  const legend = series.map(({ name, style }, index) => `<text class="${style}" style="stroke:none" x="${String(LEFT + 230 + index * LEGEND_STEP)}" y="13">— ${name}</text>`);
  const faults = marks.map(({ atMs, isFault, label }) => `<line class="${isFault ? 'fault' : 'heal'}" x1="${x(atMs).toFixed(1)}" x2="${x(atMs).toFixed(1)}" y1="${String(TOP)}" y2="${String(HEIGHT - BOTTOM)}"><title>${label} at ${(atMs / 1_000).toFixed(2)} s</title></line>`);
  const ticks = Array.from({ length: TICKS + 1 }, (_, index) => endMs * index / TICKS).map((ms) => `<text x="${x(ms).toFixed(1)}" y="${String(HEIGHT - 6)}" text-anchor="middle">${(ms / 1_000).toFixed(1)} s</text>`);
  const scale = [0, most / 2, most].map((value) => `<text x="${String(LEFT - 6)}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${shown(value)}</text>`);
  return `<svg viewBox="0 0 ${String(WIDTH)} ${String(HEIGHT)}" role="img" aria-label="${title}"><text x="${String(LEFT)}" y="13">${title}</text>${legend.join('')}
<path class="axis" d="M${String(LEFT)} ${String(TOP)}V${String(HEIGHT - BOTTOM)}H${String(WIDTH)}"/>${faults.join('')}${lines.join('')}${ticks.join('')}${scale.join('')}</svg>`;
}

/** Cut at the gaps. */
function runsOf(points: readonly Point[]): Point[][] {
  const runs: Point[][] = [[]];
  for (const point of points) {
    if (point.value === null) runs.push([]);
    else runs.at(-1)!.push(point);
  }
  return runs.filter((run) => run.length > 0);
}

function shown(value: number): string {
  return value >= 1_000 ? `${(value / 1_000).toFixed(1)}k` : value.toFixed(value < 10 ? 1 : 0);
}

/** A run's events as lines for people, and of a failed run those that matter. */
import { EVENT, EVENTS, type Listener } from '../base/transcript.js';
import { POINTS } from '../models/code-points.js';
import { BEHAVIOURS } from '../models/upstream.js';
import { NAMES } from './policies.js';

/** Of each query hundreds of lines are noise; what happens to members never is. */
const OF_QUERIES: ReadonlySet<number> = new Set([
  EVENT.query, EVENT.ask, EVENT.upstream, EVENT.reply, EVENT.client, EVENT.lost, EVENT.taken, EVENT.learned,
]);
const LAST_LINES = 60;
const ROLE_NAMES = ['agent', 'dns-proxy'];
const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

interface Line {
  readonly text: string;
  /** The query that it is about; 0 for none. */
  readonly query: number;
}

export class Trace {
  readonly lines: Line[] = [];

  readonly listener: Listener = (timeMs, event, a, b, c) => {
    this.lines.push({ text: `${timeMs.toFixed(3).padStart(10)}  ${lineOf(event, a, b, c)}`, query: queryOf(event, a, b) });
  };

  all(): string[] {
    return this.lines.map(({ text }) => text);
  }

  /** The last that happened to members, and all that happened to the query that the failure names. */
  shortest(failure: string): string[] {
    const query = Number(/query (\d+)/.exec(failure)?.[1] ?? 0);
    const chosen = this.lines.filter((line) => (query > 0 && line.query === query) || line.query === 0);
    return chosen.slice(-LAST_LINES).map(({ text }) => text);
  }
}

function queryOf(event: number, a: number, b: number): number {
  if (!OF_QUERIES.has(event)) return 0;
  if (event === EVENT.learned) return -1;
  return event === EVENT.query || event === EVENT.upstream || event === EVENT.client || event === EVENT.lost ? a : b;
}

function lineOf(event: number, a: number, b: number, c: number): string {
  const name = EVENTS[event];
  switch (event) {
    case EVENT.start:
      return `process ${a} starts: ${ROLE_NAMES[b]}`;
    case EVENT.query:
      return `query ${a} from flow ${b}: ${c < 0 ? 'no question' : NAMES[c].text}`;
    case EVENT.ask:
      return `process ${a} asks an upstream for query ${b}, port ${c}`;
    case EVENT.upstream:
      return `upstream on query ${a}: ${BEHAVIOURS[b]}`;
    case EVENT.reply:
      return `process ${a} sends the answer to query ${b} through socket ${c}`;
    case EVENT.client:
      return `query ${a} is answered ${RCODES[b] ?? b}, ${c} bytes`;
    case EVENT.lost:
      return `query ${a} is lost in the kernel`;
    case EVENT.taken:
      return `process ${a} takes query ${b}${c === 1 ? ' with its answer' : ''}`;
    case EVENT.killed:
    case EVENT.pause:
      return `process ${a} ${event === EVENT.pause ? 'is stopped' : 'is killed'}${b === 1 ? ` at ${POINTS[c]}` : ''}`;
    case EVENT.policy:
      return `process ${a} enforces revision ${b}`;
    case EVENT.link:
      return `process ${a}: pair link ${b === 1 ? 'up' : 'down'}`;
    default:
      return `${name} ${a} ${b} ${c}`;
  }
}

/** Events as sentences about members and pods, with the time since the command before in whole milliseconds. */
import { EVENT } from '../base/transcript.js';
import type { Query } from '../models/datagram.js';
import { BEHAVIOURS } from '../models/upstream.js';
import { NAMES } from '../run/policies.js';
import { ROLES } from '../run/world.js';

const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED'];

export class Narrator {
  readonly lines: string[] = [];
  private readonly roles = new Map<number, string>();
  /** Queries of a load: not told one by one. */
  private readonly loaded = new Set<number>();
  private readonly answeredBy = new Map<number, number>();
  private isTelling = false;
  private isQuiet = false;
  private sinceMs = 0;

  /** From here on what happens is told. */
  begin(nowMs: number): void {
    this.isTelling = true;
    this.sinceMs = nowMs;
  }

  command(text: string, nowMs: number): void {
    this.sinceMs = nowMs;
    this.lines.push(`> ${text}`);
  }

  say(sentence: string): void {
    this.lines.push(`  ${sentence}`);
  }

  /** Asks a query of a load. */
  quietly(ask: () => Query): Query {
    this.isQuiet = true;
    const query = ask();
    this.isQuiet = false;
    this.loaded.add(query.number);
    return query;
  }

  hear(timeMs: number, event: number, [a, b, c]: readonly [number, number, number]): void {
    if (event === EVENT.start) this.roles.set(a, ROLES[b]);
    if (event === EVENT.reply) this.answeredBy.set(b, a);
    if (!this.isTelling || this.isQuiet) return;
    const sentence = this.sentence(event, a, b, c);
    if (sentence === null) return;
    this.lines.push(`  ${`+${Math.round(timeMs - this.sinceMs)} ms`.padEnd(9)} ${sentence}`);
  }

  private sentence(event: number, a: number, b: number, c: number): string | null {
    const role = this.roles.get(a) ?? '';
    const peer = role === 'agent' ? 'dns-proxy' : 'agent';
    switch (event) {
      case EVENT.start:
        return `${role} starts`;
      case EVENT.serve:
        return b === 0 ? `${role} serves without a policy` : `${role} serves`;
      case EVENT.killed:
        return `${role} is killed`;
      case EVENT.exit:
        return `${role} exits`;
      case EVENT.pause:
        return `${role} is stopped`;
      case EVENT.resume:
        return `${role} goes on`;
      case EVENT.drain:
        return `${role} is told to end`;
      case EVENT.adopt:
        return `${role} answers for ${peer}`;
      case EVENT.return:
        return `${role} leaves ${peer}'s socket to it`;
      case EVENT.policy:
        return `${role} enforces revision ${b}`;
      case EVENT.link:
        return `${role}: pair link ${b === 1 ? 'up' : 'down'}`;
      default:
        return this.ofQuery(event, a, b, c);
    }
  }

  private ofQuery(event: number, a: number, b: number, c: number): string | null {
    switch (event) {
      case EVENT.query:
        return c < 0 ? null : `query ${a}: ${NAMES[c].text}`;
      case EVENT.ask:
        return this.isTold(b) ? `query ${b}: ${this.roles.get(a)} asks the upstream` : null;
      case EVENT.upstream:
        return this.isTold(a) && BEHAVIOURS[b] !== 'answer' ? `query ${a}: the upstream's answer is: ${BEHAVIOURS[b]}` : null;
      case EVENT.taken:
        return this.isTold(b) ? `query ${b}: ${this.roles.get(a)} takes it over${c === 1 ? ' with its answer' : ''}` : null;
      case EVENT.client:
        return this.isTold(a) ? `query ${a}: ${this.roles.get(this.answeredBy.get(a) ?? 0)} answers ${RCODES[b] ?? b}` : null;
      case EVENT.lost:
        return this.isTold(a) ? `query ${a}: nobody is there to receive it` : null;
      default:
        return null;
    }
  }

  private isTold(query: number): boolean {
    return !this.loaded.has(query);
  }
}

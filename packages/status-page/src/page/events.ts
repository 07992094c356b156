/**
 * What happened between two looks at the pair, as sentences. Only what the page saw itself: it keeps no history from before it
 * was opened, and at most `EVENTS_MAX`.
 */
import type { Role } from './api.js';
import { countText, spanText } from './format.js';
import { type Level, type MemberModel, type MemberState, type PairModel, peerOf, ROLES } from './pair-model.js';

export const EVENTS_MAX = 100;

export interface PairEvent {
  readonly timeMs: number;
  readonly level: Level;
  readonly text: string;
}

const IS_NOW: Readonly<Record<MemberState, { readonly level: Level; readonly text: string }>> = {
  serving: { level: 'good', text: 'serves' },
  starting: { level: 'warn', text: 'is starting' },
  draining: { level: 'warn', text: 'drains' },
  stopped: { level: 'warn', text: 'has ended' },
  gone: { level: 'bad', text: 'is gone: its process died' },
  silent: { level: 'bad', text: 'does not answer' },
  unknown: { level: 'warn', text: 'cannot be asked' },
};

export class EventLog {
  /** The newest first. */
  readonly events: PairEvent[] = [];
  private before: PairModel | null = null;
  private readonly incarnations = new Map<Role, string>();
  private readonly takeovers = new Map<Role, { readonly incarnation: string; readonly takeovers: number; readonly taken: number }>();
  private lostAtMs: number | null = null;

  /** What is new; the newest last. */
  add(model: PairModel, timeMs: number): readonly PairEvent[] {
    const { before } = this;
    const found: PairEvent[] = [];
    const say = (level: Level, text: string): void => void found.push({ timeMs, level, text });
    if (before === null) say(model.level, `watching: ${model.headline.charAt(0).toLowerCase()}${model.headline.slice(1)}`);
    for (const role of ROLES) this.member(model.members[role], before?.members[role] ?? null, say);
    if (before !== null) this.pair(before, model, { timeMs, say });
    this.before = model;
    this.events.unshift(...found.toReversed());
    this.events.length = Math.min(this.events.length, EVENTS_MAX);
    return found;
  }

  private member(now: MemberModel, before: MemberModel | null, say: (level: Level, text: string) => void): void {
    const { role, status } = now;
    const known = this.incarnations.get(role);
    const isNew = status !== null && known !== undefined && known !== status.incarnation;
    if (status !== null) this.incarnations.set(role, status.incarnation);
    if (isNew) say('good', `${role} was started anew: incarnation ${status.incarnation.slice(0, 8)}, pid ${status.pid}, version ${status.version}`);
    if (before === null) return this.counted(now, null);
    if (before.state !== now.state) say(IS_NOW[now.state].level, `${role} ${IS_NOW[now.state].text}`);
    if (before.socketsReadBy !== now.socketsReadBy && now.socketsReadBy === peerOf(role)) say('warn', `${peerOf(role)} reads the sockets of ${role}`);
    if (before.socketsReadBy === peerOf(role) && now.socketsReadBy === role) say('good', `${role} reads its own sockets again`);
    this.counted(now, say);
    const [was, is] = [before.status?.policy.revision ?? null, status?.policy.revision ?? null];
    if (was !== null && is !== null && was !== is) say('good', `${role} enforces policy revision ${is}`);
  }

  /** Takeovers that began and ended between two looks are told by the member's counters. */
  private counted({ role, status }: MemberModel, say: ((level: Level, text: string) => void) | null): void {
    if (status === null) return;
    const before = this.takeovers.get(role);
    const now = { incarnation: status.incarnation, takeovers: status.counters.takeovers ?? 0, taken: status.counters.taken ?? 0 };
    this.takeovers.set(role, now);
    if (say === null || before?.incarnation !== now.incarnation || (now.takeovers === before.takeovers && now.taken === before.taken)) return;
    const taken = now.taken - before.taken;
    say('warn', `${role} took over from ${peerOf(role)}${taken > 0 ? `, with ${countText(taken)} unanswered ${taken === 1 ? 'query' : 'queries'}` : ''}`);
  }

  private pair(before: PairModel, now: PairModel, { timeMs, say }: { readonly timeMs: number; readonly say: (level: Level, text: string) => void }): void {
    if (before.isLinked === true && now.isLinked === false) say('warn', 'the link between the two is down');
    if (before.isLinked === false && now.isLinked === true) say('good', 'the link between the two is up');
    if (before.isRedundant && !now.isRedundant) this.lostAtMs = timeMs;
    if (!before.isRedundant && now.isRedundant) {
      say('good', this.lostAtMs === null ? 'redundant' : `redundant again after ${spanText(timeMs - this.lostAtMs)}`);
      this.lostAtMs = null;
    }
  }
}

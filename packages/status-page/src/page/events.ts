/**
 * What happened between two looks at the pair, as sentences. Only what the page saw itself: it keeps no history from before it
 * was opened, and at most `EVENTS_MAX`.
 */
import type { Role } from './api.js';
import { countText, spanText } from './format.js';
import { type Level, type MemberModel, type MemberState, type PairModel, peerOf, ROLES } from './pair-model.js';

export const EVENTS_MAX = 100;

export interface PairEvent {
  /** The latest time, where it happened more than once. */
  readonly timeMs: number;
  readonly level: Level;
  readonly text: string;
  /** A takeover from a member that only was late; else null. */
  readonly moment: Moment | null;
}

interface Moment {
  readonly role: Role;
  readonly times: number;
  readonly taken: number;
}

type Say = (level: Level, text: string, moment?: Moment) => void;

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

  /** True if there is something new. */
  add(model: PairModel, timeMs: number): boolean {
    const { before } = this;
    const found: PairEvent[] = [];
    const say: Say = (level, text, moment) => void found.push({ timeMs, level, text, moment: moment ?? null });
    if (before === null) say(model.level, `watching: ${model.headline.charAt(0).toLowerCase()}${model.headline.slice(1)}`);
    for (const role of ROLES) {
      this.member(model.members[role], before?.members[role] ?? null, say);
      this.counted(model.members[role], isSteady(model, before, peerOf(role)), before === null ? null : say);
    }
    if (before !== null) this.pair(before, model, { timeMs, say });
    this.before = model;
    for (const event of found) this.keep(event);
    return found.length > 0;
  }

  /** Late heartbeats come in swarms on a busy machine: since the last event of weight they are one line for each member. */
  private keep(event: PairEvent): void {
    const { events } = this;
    let kept = event;
    if (event.moment !== null) {
      const { role } = event.moment;
      const weighty = events.findIndex(({ moment }) => moment === null);
      const at = events.slice(0, weighty === -1 ? events.length : weighty).findIndex(({ moment }) => moment?.role === role);
      const before = at === -1 ? null : events.splice(at, 1)[0].moment;
      const moment = { role, times: event.moment.times + (before?.times ?? 0), taken: event.moment.taken + (before?.taken ?? 0) };
      kept = { ...event, moment, text: momentText(moment) };
    }
    events.unshift(kept);
    events.length = Math.min(events.length, EVENTS_MAX);
  }

  private member(now: MemberModel, before: MemberModel | null, say: Say): void {
    const { role, status } = now;
    const known = this.incarnations.get(role);
    const isNew = status !== null && known !== undefined && known !== status.incarnation;
    if (status !== null) this.incarnations.set(role, status.incarnation);
    if (isNew) say('good', `${role} was started anew: incarnation ${status.incarnation.slice(0, 8)}, pid ${status.pid}, version ${status.version}`);
    if (before === null) return;
    if (before.state !== now.state) say(IS_NOW[now.state].level, `${role} ${IS_NOW[now.state].text}`);
    if (before.socketsReadBy !== now.socketsReadBy && now.socketsReadBy === peerOf(role)) say('warn', `${peerOf(role)} reads the sockets of ${role}`);
    if (before.socketsReadBy === peerOf(role) && now.socketsReadBy === role) say('good', `${role} reads its own sockets again`);
    const [was, is] = [before.status?.policy.revision ?? null, status?.policy.revision ?? null];
    if (was !== null && is !== null && was !== is) say('good', `${role} enforces policy revision ${is}`);
  }

  /** Takeovers that began and ended between two looks are told by the member's counters. */
  private counted({ role, status }: MemberModel, isPeerSteady: boolean, say: Say | null): void {
    if (status === null) return;
    const before = this.takeovers.get(role);
    const now = { incarnation: status.incarnation, takeovers: status.counters.takeovers ?? 0, taken: status.counters.taken ?? 0 };
    this.takeovers.set(role, now);
    if (say === null || before?.incarnation !== now.incarnation || (now.takeovers === before.takeovers && now.taken === before.taken)) return;
    const taken = now.taken - before.taken;
    if (isPeerSteady) say('warn', '', { role, times: 1, taken });
    else say('warn', `${role} took over from ${peerOf(role)}${queriesText(taken)}`);
  }

  private pair(before: PairModel, now: PairModel, { timeMs, say }: { readonly timeMs: number; readonly say: Say }): void {
    if (before.isLinked === true && now.isLinked === false) say('warn', 'the link between the two is down');
    if (before.isLinked === false && now.isLinked === true) say('good', 'the link between the two is up');
    if (before.isRedundant && !now.isRedundant) this.lostAtMs = timeMs;
    if (!before.isRedundant && now.isRedundant) {
      say('good', this.lostAtMs === null ? 'redundant' : `redundant again after ${spanText(timeMs - this.lostAtMs)}`);
      this.lostAtMs = null;
    }
  }
}

/** Nobody died: a heartbeat was late. That must be harmless, and an operator may still want to know how often. */
function momentText({ role, times, taken }: Moment): string {
  return `${role} took over from ${peerOf(role)} for a moment${times === 1 ? '' : `, ${countText(times)} times`}${queriesText(taken)}: a late heartbeat`;
}

function queriesText(taken: number): string {
  return taken === 0 ? '' : `, with ${countText(taken)} unanswered ${taken === 1 ? 'query' : 'queries'}`;
}

/** It served at both looks, and read its own sockets. */
function isSteady(now: PairModel, before: PairModel | null, role: Role): boolean {
  return [now, before].every((model) => model?.members[role].state === 'serving' && model.members[role].socketsReadBy === role);
}

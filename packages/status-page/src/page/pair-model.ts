/**
 * The pair as the page shows it, made from one answer: how each member is, who reads whose sockets now, and one sentence over all.
 *
 * Invariant: what is not known is said to be unknown; a member that did not answer is never shown as serving. Knows no
 * document and no history.
 */
import type { MemberAnswer, PairAnswer, Role, Status } from './api.js';

export const ROLES: readonly Role[] = ['agent', 'dns-proxy'];

/**
 * serving: answers queries. starting: lives, and reads its sockets not yet. draining: hands over, or has handed over, and finishes.
 * stopped: ended in order, or never started. gone: killed. silent: its process is there and does not answer. unknown: cannot be told.
 */
export type MemberState = 'serving' | 'starting' | 'draining' | 'stopped' | 'gone' | 'silent' | 'unknown';

/** A member that did not answer may still read its sockets: only its control thread need hang. */
export type Reader = Role | 'nobody' | 'unknown';

export interface MemberModel {
  readonly role: Role;
  readonly state: MemberState;
  /** A few words on the state. */
  readonly detail: string;
  readonly status: Status | null;
  /** Who reads this member's sockets now. */
  readonly socketsReadBy: Reader;
  /** Its sockets and queries are with the peer, too. */
  readonly isHeld: boolean;
}

export type Level = 'good' | 'warn' | 'bad';

export interface PairModel {
  readonly self: Role;
  readonly members: Readonly<Record<Role, MemberModel>>;
  readonly isRedundant: boolean;
  /** The gRPC link between the two; null: nobody who could tell answers. */
  readonly isLinked: boolean | null;
  readonly level: Level;
  readonly headline: string;
  readonly nodeName: string;
}

export function pairModel(pair: PairAnswer): PairModel {
  const answers = Object.fromEntries(pair.members.map((member) => [member.role, member])) as Record<Role, MemberAnswer>;
  const states = Object.fromEntries(ROLES.map((role) => [role, stateOf(answers[role])])) as Record<Role, MemberState>;
  const models = Object.fromEntries(ROLES.map((role) => [role, memberModel(answers[role], answers[peerOf(role)], states)])) as Record<Role, MemberModel>;
  const statuses = ROLES.flatMap((role) => answers[role].status ?? []);
  const isRedundant = ROLES.every((role) => states[role] === 'serving' && answers[role].status?.dataPlane?.redundant === true);
  return {
    self: pair.self,
    members: models,
    isRedundant,
    isLinked: statuses.length === 0 ? null : statuses.every(({ peer }) => peer.connected),
    nodeName: statuses[0]?.nodeName ?? '',
    ...verdictOf(models, isRedundant),
  };
}

/** Nobody answers the page: what was last known of who is where, and nothing of how it is. */
export function lostModel(before: PairModel, reason: string): PairModel {
  const members = Object.fromEntries(ROLES.map((role): [Role, MemberModel] => {
    const isSelf = role === before.self;
    const detail = isSelf ? `this page's member: ${reason}` : 'not known without it';
    return [role, { ...before.members[role], state: isSelf ? 'silent' : 'unknown', detail, socketsReadBy: 'unknown', isHeld: false }];
  })) as Record<Role, MemberModel>;
  return { ...before, members, isRedundant: false, isLinked: null, level: 'bad', headline: `${before.self}, which serves this page, does not answer` };
}

export function peerOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

function stateOf({ status, cause }: MemberAnswer): MemberState {
  if (status === null) return cause === 'absent' ? 'stopped' : cause === 'gone' || cause === 'silent' ? cause : 'unknown';
  if ((status.dataPlane?.draining ?? 'no') !== 'no') return 'draining';
  return status.readiness.ready ? 'serving' : 'starting';
}

function memberModel(own: MemberAnswer, peer: MemberAnswer, states: Readonly<Record<Role, MemberState>>): MemberModel {
  const state = states[own.role];
  const isAdopted = (peer.status?.dataPlane?.adopted ?? 0) > 0;
  return {
    role: own.role,
    state,
    detail: detailOf(own, state, isAdopted),
    status: own.status,
    socketsReadBy: isAdopted ? peer.role : readerOf(own, state),
    isHeld: own.status?.dataPlane?.held ?? own.status?.dataPlane?.redundant ?? false,
  };
}

function readerOf({ role, status }: MemberAnswer, state: MemberState): Reader {
  switch (state) {
    case 'serving':
      return role;
    case 'draining':
      // Until the peer has taken over it goes on itself.
      return status?.dataPlane?.draining === 'asking' ? role : 'nobody';
    case 'starting':
    case 'stopped':
    case 'gone':
      return 'nobody';
    case 'silent':
    case 'unknown':
      return 'unknown';
  }
}

function detailOf({ role, status, reason }: MemberAnswer, state: MemberState, isAdopted: boolean): string {
  const peer = peerOf(role);
  switch (state) {
    case 'serving':
      return isAdopted ? `${peer} answers for it: no heartbeat` : 'answers queries';
    case 'starting':
      return status?.readiness.reason ?? reason;
    case 'draining':
      return isAdopted ? `draining: finishes ${queriesText(status?.dataPlane?.underWay ?? 0)}` : 'draining: hands its sockets over';
    case 'stopped':
      return 'not running';
    case 'gone':
      return 'its process is gone';
    case 'silent':
    case 'unknown':
      return reason;
  }
}

function queriesText(count: number): string {
  return count === 1 ? '1 query' : `${count} queries`;
}

function verdictOf(members: Readonly<Record<Role, MemberModel>>, isRedundant: boolean): { readonly level: Level; readonly headline: string } {
  if (isRedundant) return { level: 'good', headline: 'Redundant: each member can answer for the other' };
  const serving = ROLES.filter((role) => members[role].state === 'serving');
  if (serving.length === 2) {
    const adopted = ROLES.find((role) => members[role].socketsReadBy !== role);
    if (adopted !== undefined) return { level: 'warn', headline: `Not redundant: ${peerOf(adopted)} answers for ${adopted}, which has no heartbeat` };
    return { level: 'warn', headline: 'Not redundant: both answer, and neither holds the other yet' };
  }
  const alive = serving[0] ?? ROLES.find((role) => members[role].state === 'draining' && members[role].socketsReadBy === role);
  if (alive === undefined) return { level: 'bad', headline: 'No member answers queries' };
  const other = peerOf(alive);
  const does = members[other].socketsReadBy === alive ? `${alive} answers for it` : `${alive} answers alone`;
  return { level: 'warn', headline: `Not redundant: ${other} ${STATE_PHRASES[members[other].state]}; ${does}` };
}

const STATE_PHRASES: Readonly<Record<MemberState, string>> = {
  serving: 'serves', starting: 'is starting', draining: 'is draining', stopped: 'is stopped', gone: 'is gone', silent: 'does not answer',
  unknown: 'cannot be asked',
};

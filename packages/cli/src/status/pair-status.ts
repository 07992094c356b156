/**
 * Both members' status as one: what `tandem status` prints. The JSON form is documented in docs/reference/api.md and stable. It is made from
 * two answers that were given at about the same time, so figures of a pair at work differ a little for no reason.
 */
import type { Role } from '@tandem/core';
import type { StatusView } from '@tandem/host';
import { type Heard, nobodyAnswers, ROLES } from '../client.js';

export type MemberStatus =
  | { readonly reachable: true; readonly status: StatusView }
  /** `reason`: why it does not answer. */
  | { readonly reachable: false; readonly reason: string };

export interface PairStatusView {
  /** Each of the two could answer for the other, and both say so. */
  readonly redundant: boolean;
  /** What an operator should look at, a sentence each; empty when all is well. */
  readonly attention: readonly string[];
  /** Of all answers that the members that answer here have given since their starts, 0 to 1; null before the first. */
  readonly share: Readonly<Record<Role, number | null>>;
  readonly members: Readonly<Record<Role, MemberStatus>>;
}

const UNTOLD: StatusView['dataPlane'] = {
  redundant: false, adopted: 0, held: false, draining: 'no', heartbeatAgeSeconds: null, underWay: 0, slots: 0, slotsFree: 0, tcpConnections: 0,
};

/** A heartbeat that is older is not late by chance: the peer takes over after three ticks of 10 ms. */
const HEARTBEAT_LATE_SECONDS = 1;

/** @throws AppError UNAVAILABLE if neither was heard. */
export function pairStatusOf(heard: Readonly<Record<Role, Heard<StatusView>>>, runDir: string): PairStatusView {
  const members = { 'agent': memberOf(heard.agent), 'dns-proxy': memberOf(heard['dns-proxy']) };
  const there = ROLES.flatMap((role) => statusOf(members[role]) ?? []);
  if (there.length === 0) throw nobodyAnswers(runDir, ROLES.map((role) => `${role}: ${reasonOf(members[role])}`));
  const answers = there.reduce((sum, status) => sum + answersOf(status), 0);
  const share = (role: Role): number | null => {
    const status = statusOf(members[role]);
    return status === null || answers === 0 ? null : answersOf(status) / answers;
  };
  return {
    redundant: there.length === ROLES.length && there.every(({ dataPlane }) => dataPlane.redundant),
    attention: [
      ...ROLES.flatMap((role) => (members[role].reachable ? [] : [`${role} does not answer: ${reasonOf(members[role])}`])),
      ...there.flatMap(ofOne),
      ...(there.length === ROLES.length ? ofBoth(there[0], there[1]) : []),
    ],
    share: { 'agent': share('agent'), 'dns-proxy': share('dns-proxy') },
    members,
  };
}

export function statusOf(member: MemberStatus): StatusView | null {
  return member.reachable ? member.status : null;
}

/** Answers of every kind to clients. */
export function answersOf({ counters }: StatusView): number {
  return counters.answered + counters.refused + counters.failed;
}

function memberOf(heard: Heard<StatusView>): MemberStatus {
  return 'value' in heard ? { reachable: true, status: whole(heard.value) } : { reachable: false, reason: heard.reason };
}

/** With the fields that a member of an earlier version does not tell: the CLI is often the newest of the three. */
export function whole(status: Partial<StatusView>): StatusView {
  return { dataPlane: UNTOLD, state: { dir: '', written: true }, datapath: { kind: 'none', reason: 'not told' }, ...status } as StatusView;
}

function reasonOf(member: MemberStatus): string {
  return member.reachable ? '' : member.reason;
}

function ofOne({ role, version, readiness, dataPlane, peer, state }: StatusView): string[] {
  const { heartbeatAgeSeconds } = dataPlane;
  return [
    ...(readiness.ready ? [] : [`${role} is not ready: ${readiness.reason}`]),
    ...(dataPlane === UNTOLD ? [`${role} is of a version (${version}) that does not tell whether it is redundant`] : []),
    ...(dataPlane.draining === 'no' ? [] : [`${role} is leaving`]),
    ...(readiness.ready && dataPlane !== UNTOLD && !dataPlane.redundant && dataPlane.adopted === 0 ? [`${role} could not answer for its peer, or the peer not for it`] : []),
    ...(dataPlane.adopted > 0 ? [`${role} answers for its peer`] : []),
    ...(heartbeatAgeSeconds !== null && heartbeatAgeSeconds > HEARTBEAT_LATE_SECONDS ? [`${role} had no heartbeat for ${heartbeatAgeSeconds.toFixed(1)} s`] : []),
    ...(peer.connected ? [] : [`${role} has no link to its peer`]),
    ...(state.written ? [] : [`${role} cannot write its state to ${state.dir}`]),
  ];
}

function ofBoth(a: StatusView, b: StatusView): string[] {
  const isInStep = a.peer.lag === 0 && b.peer.lag === 0;
  // A member of an earlier version does not tell. What has expired is compared with nothing: each collects it at a time of its own.
  const [ours, theirs] = [a, b].map(({ cache }): number | undefined => cache.valid);
  return [
    ...(a.version === b.version ? [] : [`the versions differ: ${a.version} and ${b.version}`]),
    ...(a.policy.hash === b.policy.hash ? [] : [`the policies differ: revisions ${a.policy.revision ?? 'none'} and ${b.policy.revision ?? 'none'}`]),
    ...(!isInStep || ours === undefined || theirs === undefined || ours === theirs ? [] : [`the caches differ: ${ours} and ${theirs} valid mappings, with nothing left to send`]),
  ];
}

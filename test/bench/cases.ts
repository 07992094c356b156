/**
 * What a run measures: cases, each a kind of load that several contestants get in turn, and goals, each a ratio of two contestants
 * of one case.
 */
import type { Role } from '../harness/pair.js';

export type Traffic = 'allowed' | 'refused' | 'mixed';
/** What is measured of Tandem: both members sharing the load, or one alone. */
export type Member = 'pair' | Role;
export const MEMBERS: readonly Member[] = ['pair', 'agent', 'dns-proxy'];
export type Peer = 'relay' | 'dnsdist' | 'unbound' | 'dnsmasq' | 'go';

export interface LoadShape {
  readonly traffic: Traffic;
  readonly protocol: 'udp' | 'tcp';
  /** Of the clients; the upstream is asked over IPv4. */
  readonly family: 4 | 6;
  /** Sockets or connections. */
  readonly clients: number;
  /** Queries open at a time, over all clients. */
  readonly window: number;
  /** Addresses that the clients have, one pod each. */
  readonly pods: number;
  /** Queries a second at which they are due, open loop; null: as many as are answered, closed loop. */
  readonly rateQps: number | null;
  /** No name is asked for twice, but A and AAAA, so that every answer teaches a mapping; else all names have been learned before. */
  readonly hasNewNames: boolean;
}

export interface Entry {
  readonly name: string;
  readonly kind: Peer | Member;
  /** Names that the policy allows. */
  readonly patterns: number;
}

export interface Case {
  readonly id: string;
  readonly title: string;
  /** What is measured on one core, all else on another; else wherever the kernel puts it. */
  readonly isPinned: boolean;
  readonly load: LoadShape;
  readonly entries: readonly Entry[];
}

export type Figure = 'qps' | 'p99Us';

/** The ratio of `figure` of entry `of` to that of entry `to` in a case. */
export interface Goal {
  readonly title: string;
  readonly caseId: string;
  readonly figure: Figure;
  readonly of: string;
  readonly to: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly stretch?: number;
}

export const TANDEM = 'tandem';
const PATTERNS = 100;
const MANY_PODS = 500;
/** Opened by the rate: far more than is due while an answer takes long. */
const OPEN_LOOP_WINDOW = 16_384;

const closed: LoadShape = { traffic: 'allowed', protocol: 'udp', family: 4, clients: 8, window: 256, pods: 1, rateQps: null, hasNewNames: false };
const overTcp: LoadShape = { ...closed, protocol: 'tcp', clients: 64 };
const atRate = (rateQps: number): LoadShape => ({ ...closed, clients: 64, window: OPEN_LOOP_WINDOW, rateQps });

function peers(...kinds: readonly Peer[]): Entry[] {
  return kinds.map((kind) => ({ name: kind, kind, patterns: PATTERNS }));
}

export function allCases(member: Member): Case[] {
  const tandem: Entry = { name: TANDEM, kind: member, patterns: PATTERNS };
  const withPatterns = (patterns: number): Entry => ({ name: patternsName(patterns), kind: member, patterns });
  // The pair shares one core in the pinned cases; what a member does on a core of its own is of interest, too.
  const alone: Entry[] = member === 'pair' ? [{ name: 'agent alone', kind: 'agent', patterns: PATTERNS }, { name: 'dns-proxy alone', kind: 'dns-proxy', patterns: PATTERNS }] : [];
  // Most of the Go forwarder's time at 100 patterns is its regular expression: with one pattern it is the rest.
  const goAlone: Entry = { name: `go, ${patternsName(1)}`, kind: 'go', patterns: 1 };
  const everybody = peers('dnsdist', 'go', 'unbound', 'dnsmasq');
  const latency = (rateQps: number, isPinned: boolean): Case => ({
    id: `latency-${String(rateQps / 1000)}k${isPinned ? '' : '-unpinned'}`, title: `Latency at ${String(rateQps)} queries/s${isPinned ? '' : ', unpinned'}`, isPinned, load: atRate(rateQps),
    entries: [...peers('relay'), tandem, ...peers('dnsdist', 'go')],
  });
  return [
    { id: 'allowed', title: 'Allowed', isPinned: true, load: closed, entries: [...peers('relay'), tandem, ...alone, ...everybody, goAlone] },
    { id: 'refused', title: 'Refused', isPinned: true, load: { ...closed, traffic: 'refused' }, entries: [tandem, ...everybody] },
    { id: 'mixed', title: 'Half allowed, half refused', isPinned: true, load: { ...closed, traffic: 'mixed' }, entries: [tandem, ...everybody] },
    { id: 'udp6', title: 'Allowed, clients over IPv6', isPinned: true, load: { ...closed, family: 6 }, entries: [...peers('relay'), tandem, ...peers('dnsdist', 'go')] },
    { id: 'tcp', title: 'Allowed, over TCP', isPinned: true, load: overTcp, entries: [tandem, ...peers('dnsdist', 'go', 'unbound')] },
    { id: 'tcp-refused', title: 'Refused, over TCP', isPinned: true, load: { ...overTcp, traffic: 'refused' }, entries: [tandem, ...peers('dnsdist')] },
    { id: 'patterns', title: 'Allowed, by the size of the policy', isPinned: true, load: closed, entries: [withPatterns(1), withPatterns(100), withPatterns(10_000)] },
    { id: 'pods', title: `Allowed, from ${String(MANY_PODS)} pods`, isPinned: true, load: { ...closed, clients: MANY_PODS, window: 1_000, pods: MANY_PODS }, entries: [...peers('relay'), tandem, ...peers('dnsdist')] },
    { id: 'unpinned', title: 'Allowed, unpinned', isPinned: false, load: closed, entries: [...peers('relay'), tandem, ...everybody] },
    latency(1_000, true), latency(5_000, true), latency(20_000, true), latency(5_000, false),
    { ...latency(5_000, true), id: 'latency-new-names', title: 'Latency at 5000 queries/s, every name new', load: { ...atRate(5_000), hasNewNames: true } },
  ];
}

export function patternsName(patterns: number): string {
  return `${String(patterns)} pattern${patterns === 1 ? '' : 's'}`;
}

/** Those that answer each goal. */
export const SHORT_CASES: readonly string[] = ['allowed', 'refused', 'tcp', 'patterns', 'latency-5k'];

export const GOALS: readonly Goal[] = [
  { title: 'queries per core against the C relay without GSO, everything on', caseId: 'allowed', figure: 'qps', of: TANDEM, to: 'relay', atLeast: 1, stretch: 1.1 },
  { title: 'against dnsdist with the same allowlist', caseId: 'allowed', figure: 'qps', of: TANDEM, to: 'dnsdist', atLeast: 1.35 },
  { title: 'against the Cilium-style Go proxy', caseId: 'allowed', figure: 'qps', of: TANDEM, to: 'go', atLeast: 4 },
  { title: 'refused-only against dnsdist', caseId: 'refused', figure: 'qps', of: TANDEM, to: 'dnsdist', atLeast: 1.4 },
  { title: 'p99 at 5k qps against the C relay', caseId: 'latency-5k', figure: 'p99Us', of: TANDEM, to: 'relay', atMost: 1.25 },
  { title: '10,000 patterns against 1', caseId: 'patterns', figure: 'qps', of: patternsName(10_000), to: patternsName(1), atLeast: 0.95 },
  { title: 'TCP queries per core against dnsdist', caseId: 'tcp', figure: 'qps', of: TANDEM, to: 'dnsdist', atLeast: 1 },
];

/** The JSON forms of policy traces: core's results with each rule's origin spread out and the verdict's reason as a sentence. */
import type { ConnectionTrace, DirectionTrace, EndpointRecord, RuleOrigin, TraceMiss, TraceNear, TraceParty, TraceResult, TraceServer } from '@tandem/core';

export interface TraceView {
  /** As the member acts, its settings included; `audit`: refused by policy, but let pass by `--policy-audit-mode`. */
  readonly verdict: 'allow' | 'refuse' | 'audit';
  readonly cause: TraceResult['reason'];
  /** `cause` as a sentence. */
  readonly reason: string;
  /** Who asks; null for an address that is no local endpoint. */
  readonly endpoint: TraceEndpointView | null;
  readonly server: TraceServer;
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
  /** Lower case, with the trailing dot. */
  readonly name: string;
  /** The rule that decided, and its pattern that matched (null: it speaks of no name); null where none did. */
  readonly rule: (RuleOrigin & { readonly pattern: string | null }) | null;
  /** On a refusal or audit: what each rule of the endpoint lacked, nearest first. */
  readonly nearest: readonly NearView[];
  /** On a refusal or audit: the policies' specs that close the endpoint, so that what no rule allows is refused. */
  readonly deniedBy: readonly RuleOrigin[];
  /** Of the snapshot that was asked. */
  readonly revision: number;
}

export interface TraceEndpointView {
  readonly id: number;
  readonly identity: number;
  readonly namespace: string;
  readonly pod: string;
}

export type NearView = RuleOrigin & { readonly missed: TraceMiss; readonly explanation: string };

/** A connection is allowed when both directions are. */
export interface ConnectionView {
  readonly verdict: 'allow' | 'deny';
  readonly from: TracePartyView;
  readonly to: TracePartyView;
  readonly port: number;
  readonly protocol: string;
  /** The name by which `to` was learned; null: by none. */
  readonly name: string | null;
  readonly egress: DirectionView;
  readonly ingress: DirectionView;
  readonly revision: number;
}

export interface TracePartyView extends TraceServer {
  readonly endpoint: TraceEndpointView | null;
}

export interface DirectionView {
  readonly verdict: 'allow' | 'deny';
  readonly cause: DirectionTrace['reason'];
  /** `cause` as a sentence. */
  readonly reason: string;
  readonly rule: RuleOrigin | null;
  readonly nearest: readonly NearView[];
  readonly deniedBy: readonly RuleOrigin[];
}

const VERDICTS: Readonly<Record<TraceResult['verdict'], TraceView['verdict']>> = { allowed: 'allow', refused: 'refuse', audit: 'audit' };
const REASONS: Readonly<Record<TraceResult['reason'], string>> = {
  'rule': 'a rule allows it',
  'no-policy': 'no egress policy closes the endpoint: it may ask anything',
  'no-rule': 'default deny: egress policy selects the endpoint, and no rule allows this',
  'denied-by-rule': 'a rule denies it, whatever allows it',
  'unknown-endpoint': 'the address is no local endpoint, and --unknown-endpoint is "refuse"',
};

const ALWAYS = 'no policy closes the endpoint, but --enable-policy is "always", and no rule allows this';
const NAMES = 'no policy closes the endpoint, but rules.dns still limits what this server may be asked, and no rule allows this';

function sentenceOf({ verdict, reason, deniedBy, isOpen }: TraceResult): string {
  if (reason === 'unknown-endpoint' && verdict === 'allowed') return REASONS[reason].replace('"refuse"', '"allow"');
  const text = reason === 'no-rule' && deniedBy.length === 0 ? (isOpen ? NAMES : ALWAYS) : REASONS[reason];
  return verdict === 'audit' ? `${text}; --policy-audit-mode lets it pass` : text;
}

export function traceViewOf(result: TraceResult): TraceView {
  const { endpoint, rule } = result;
  return {
    verdict: VERDICTS[result.verdict],
    cause: result.reason,
    reason: sentenceOf(result),
    endpoint: endpointViewOf(endpoint),
    server: result.server,
    port: result.port,
    protocol: result.protocol,
    name: result.name,
    rule: rule === null ? null : { ...rule.origin, pattern: rule.pattern },
    nearest: result.near.map(nearViewOf),
    deniedBy: result.deniedBy,
    revision: result.revision,
  };
}

const DIRECTION_REASONS: Readonly<Record<DirectionTrace['reason'], string>> = {
  'rule': 'a rule allows it',
  'no-policy': 'no policy closes this direction',
  'no-rule': 'default deny: no rule allows it',
  'denied-by-rule': 'a rule denies it, whatever allows it',
  'not-local': 'no pod of this node is on this end: policy has no say here',
  'host': 'this node may reach its pods unless a rule denies it',
  'itself': 'what a pod sends to its own address does not leave it',
};

export function connectionViewOf(trace: ConnectionTrace): ConnectionView {
  return {
    verdict: trace.verdict === 'allowed' ? 'allow' : 'deny',
    from: partyViewOf(trace.from),
    to: partyViewOf(trace.to),
    port: trace.port,
    protocol: trace.protocol,
    name: trace.name,
    egress: directionViewOf(trace.egress),
    ingress: directionViewOf(trace.ingress),
    revision: trace.revision,
  };
}

function partyViewOf(party: TraceParty): TracePartyView {
  return { ...party, endpoint: endpointViewOf(party.endpoint) };
}

function directionViewOf({ verdict, reason, rule, near, deniedBy }: DirectionTrace): DirectionView {
  return {
    verdict: verdict === 'allowed' ? 'allow' : 'deny', cause: reason, reason: DIRECTION_REASONS[reason], rule, nearest: near.map(nearViewOf), deniedBy,
  };
}

function endpointViewOf(endpoint: EndpointRecord | null): TraceEndpointView | null {
  return endpoint === null ? null : { id: endpoint.id, identity: endpoint.identity, namespace: endpoint.namespace, pod: endpoint.pod };
}

function nearViewOf({ origin, missed, explanation }: TraceNear): NearView {
  return { ...origin, missed, explanation };
}

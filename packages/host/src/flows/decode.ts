/**
 * A record of the flow ring as Hubble's flows: the request, and its answer unless the request was turned away.
 *
 * Verdicts: FORWARDED what policy let pass; AUDIT what no rule allows, or one denies, and audit mode let pass (what is over a limit that is
 * only counted is FORWARDED); DROPPED what policy, or a limit in it, refused; ERROR what failed for another reason. `policy_log` says in a
 * word why, where no field of Hubble's does. Shape and summary lines as Hubble's DNS parser has them.
 * Does not know where records come from. Bytes from the wire are read by scanners that no bytes can harm.
 */
import { DENY, formatAddress, OUTCOME, type Outcome, type Role } from '@tandem/core';
import { AnswerView, nameToString, scanAnswer, TYPE } from '@tandem/dns';
import { type DNS, DropReason, type Flow, FlowType, IPVersion, L7FlowType, type Layer4, TrafficDirection, Verdict } from '@tandem/proto';
import { type FlowDirectory, NOBODY } from './directory.js';
import type { ObservedFlow } from './flow-log.js';
import { type FlowRecord, MESSAGE_AT } from './flow-record.js';
import { BLANK_FLOW, observed, uuidOf } from './observed-flow.js';
import { summaryOf, typeText } from './summary.js';

/** An access-log record, as opposed to a packet (Cilium's monitor API). */
const EVENT_TYPE_L7 = 129;
const OBSERVATION_SOURCE = 'proxy';
/** Hubble's TTL of an answer without records. */
const NO_TTL = 0xffff_ffff;
const NS_PER_MS = 1_000_000;
const V4_MAPPED_AT = 10;

interface Turn {
  readonly request: Verdict;
  /** Null: the request goes no further. */
  readonly response: Verdict | null;
  readonly reason: DropReason;
  /** For `policy_log`. */
  readonly why: string | null;
}

const NOT_DROPPED = DropReason.UNKNOWN;
const TURNS: Readonly<Record<Outcome, Turn>> = {
  [OUTCOME.answered]: { request: Verdict.FORWARDED, response: Verdict.FORWARDED, reason: NOT_DROPPED, why: null },
  [OUTCOME.upstreamTimeout]: { request: Verdict.FORWARDED, response: Verdict.ERROR, reason: NOT_DROPPED, why: 'upstream-timeout' },
  [OUTCOME.privateAddress]: { request: Verdict.FORWARDED, response: Verdict.DROPPED, reason: DropReason.POLICY_DENIED, why: 'private-address' },
  [OUTCOME.overload]: { request: Verdict.ERROR, response: null, reason: NOT_DROPPED, why: 'overload' },
  [OUTCOME.refused]: { request: Verdict.DROPPED, response: null, reason: DropReason.POLICY_DENIED, why: null },
  [OUTCOME.stranger]: { request: Verdict.DROPPED, response: null, reason: DropReason.UNKNOWN_SENDER, why: 'unknown-endpoint' },
  [OUTCOME.noSnapshot]: {
    request: Verdict.DROPPED, response: null, reason: DropReason.NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION, why: 'no-snapshot',
  },
  [OUTCOME.queryRate]: { request: Verdict.DROPPED, response: null, reason: DropReason.POLICY_DENIED, why: 'query-rate' },
  [OUTCOME.labelEntropy]: { request: Verdict.DROPPED, response: null, reason: DropReason.POLICY_DENIED, why: 'label-entropy' },
  [OUTCOME.malformed]: { request: Verdict.ERROR, response: null, reason: NOT_DROPPED, why: 'malformed' },
  [OUTCOME.identityStale]: { request: Verdict.DROPPED, response: null, reason: DropReason.INVALID_SOURCE_IP, why: 'IDENTITY_STALE' },
  [OUTCOME.unparsed]: { request: Verdict.ERROR, response: null, reason: NOT_DROPPED, why: 'query-of-death' },
};

export interface DecodeContext {
  readonly directory: FlowDirectory;
  readonly nodeName: string;
  readonly version: string;
}

/** Whose ring it is. */
export interface RingOwner {
  readonly role: Role;
  readonly ringId: string;
  /** Its version; '' where it does not say. */
  readonly release: string;
}

const view = new AnswerView();

/** One or two flows, as the record says. An outcome that is not known here (a newer peer's) is an ERROR. */
export function decodeRecord(record: FlowRecord, owner: RingOwner, context: DecodeContext): readonly ObservedFlow[] {
  const turn = TURNS[record.outcome] as Turn | undefined ?? TURNS[OUTCOME.overload];
  const base = baseOf(record, owner, context);
  scanAnswer(record.bytes, MESSAGE_AT, record.keptBytes, view);
  const asked = questionOf(record);
  const isAudited = record.isAudited || record.audited !== OUTCOME.answered;
  const requestVerdict = isAudited ? Verdict.AUDIT : turn.request;
  const asAnswered = { ...TURNS[OUTCOME.answered], why: (TURNS[record.audited] as Turn | undefined)?.why ?? null };
  const isResponse = turn.response !== null && record.flows === 2;
  const request = finished({ ...base, ...directed(base, false) }, { verdict: requestVerdict, turn: isResponse ? asAnswered : turn, dns: asked, latencyMs: null }, record);
  const flows = [observed(request, record.bootedAtMs + record.receivedAtMs, uuidOf(owner.ringId, record.firstFlow, record.endedAtMs))];
  if (isResponse) {
    const response = finished({ ...base, ...directed(base, true) }, { verdict: turn.response, turn, dns: { ...asked, ...answerOf(record) }, latencyMs: Math.max(0, record.endedAtMs - record.receivedAtMs) }, record);
    flows.push(observed(response, record.bootedAtMs + record.endedAtMs, uuidOf(owner.ringId, record.firstFlow + 1, record.endedAtMs)));
  }
  return flows;
}

function baseOf(record: FlowRecord, owner: RingOwner, { directory, nodeName }: DecodeContext): Flow {
  const client = formatAddress(record.bytes, record.clientAddressAt);
  const server = formatAddress(record.bytes, record.serverAddressAt);
  const from = directory.at(client);
  const to = directory.at(server);
  const policies = [...directory.policies({ revision: record.revision, endpointId: record.endpointId, rule: record.rule, direction: 'egress' })];
  const isDenied = record.rule <= DENY;
  return {
    ...BLANK_FLOW,
    IP: { source: client, destination: server, ipVersion: isV4(record) ? IPVersion.IPv4 : IPVersion.IPv6, encrypted: false, sourceXlated: '' },
    l4: layer4(record.isTcp, record.clientPort, record.serverPort),
    // The pod that has the address is not who sent this.
    source: record.outcome === OUTCOME.identityStale ? NOBODY : (directory.endpoint(record.endpointId) ?? from.endpoint),
    destination: to.endpoint,
    Type: FlowType.L7,
    nodeName,
    eventType: { type: EVENT_TYPE_L7, subType: 0 },
    sourceService: from.service,
    destinationService: to.service,
    trafficDirection: TrafficDirection.EGRESS,
    emitter: { name: `tandem-${owner.role}`, version: owner.release },
    egressAllowedBy: isDenied ? [] : policies,
    egressDeniedBy: isDenied ? policies : [],
  };
}

/** An answer goes from the server to the client. */
function directed(base: Flow, isReply: boolean): Partial<Flow> {
  if (!isReply) return { isReply: false };
  const { IP, l4, source, destination, sourceService, destinationService } = base;
  return {
    isReply: true,
    reply: true,
    IP: IP === undefined ? undefined : { ...IP, source: IP.destination, destination: IP.source },
    l4: reversed(l4),
    source: destination,
    destination: source,
    sourceService: destinationService,
    destinationService: sourceService,
  };
}

function finished(flow: Flow, end: { verdict: Verdict; turn: Turn; dns: DNS; latencyMs: number | null }, record: FlowRecord): Flow {
  const { verdict, turn, dns, latencyMs } = end;
  const isDropped = verdict === Verdict.DROPPED;
  const reason = !isDropped ? NOT_DROPPED : record.rule < DENY && turn.reason === DropReason.POLICY_DENIED ? DropReason.POLICY_DENY : turn.reason;
  return {
    ...flow,
    verdict,
    dropReason: reason,
    dropReasonDesc: reason,
    policyLog: [
      ...(turn.why === null || verdict === Verdict.FORWARDED ? [] : [turn.why]),
      // What is kept of it gives no records: not to be taken for an answer without any.
      ...(latencyMs !== null && record.isCut ? ['answer-cut'] : []),
    ],
    l7: {
      type: latencyMs === null ? L7FlowType.REQUEST : L7FlowType.RESPONSE,
      latencyNs: latencyMs === null ? 0n : BigInt(Math.round(latencyMs * NS_PER_MS)),
      record: { $case: 'dns', value: dns },
    },
    Summary: summaryOf(dns, latencyMs !== null),
  };
}

/** The name in lower case with its final dot, '' where the query could not be read. */
function questionOf(record: FlowRecord): DNS {
  const hasQuestion = view.questionEnd > 0;
  return {
    query: hasQuestion ? nameToString(record.bytes, MESSAGE_AT, view.nameStart, MESSAGE_AT + record.keptBytes) : '',
    ips: [],
    ttl: 0,
    cnames: [],
    observationSource: OBSERVATION_SOURCE,
    rcode: 0,
    qtypes: hasQuestion ? [typeText(view.type)] : [],
    rrtypes: [],
  };
}

/** Of the answer in `view`: addresses and aliases in their order, the smallest TTL. */
function answerOf(record: FlowRecord): Pick<DNS, 'ips' | 'ttl' | 'cnames' | 'rcode' | 'rrtypes'> {
  const ips: string[] = [];
  const cnames: string[] = [];
  const rrtypes: string[] = [];
  let ttl = NO_TTL;
  for (let i = 0; i < view.recordCount; i++) {
    const type = view.recordType[i];
    const at = MESSAGE_AT + view.dataOffset[i];
    if (type === TYPE.A && view.dataLength[i] === 4) ips.push(record.bytes.subarray(at, at + 4).join('.'));
    else if (type === TYPE.AAAA && view.dataLength[i] === 16) ips.push(formatAddress(record.bytes, at));
    else if (type === TYPE.CNAME) cnames.push(nameToString(record.bytes, MESSAGE_AT, at));
    rrtypes.push(typeText(type));
    ttl = Math.min(ttl, view.ttl[i]);
  }
  return { ips, cnames, rrtypes, ttl, rcode: view.rcode };
}

function isV4(record: FlowRecord): boolean {
  const at = record.clientAddressAt + V4_MAPPED_AT;
  return record.bytes[at] === 0xff && record.bytes[at + 1] === 0xff && record.bytes.subarray(record.clientAddressAt, at).every((byte) => byte === 0);
}

function layer4(isTcp: boolean, sourcePort: number, destinationPort: number): Layer4 {
  return isTcp
    ? { protocol: { $case: 'TCP', value: { sourcePort, destinationPort, flags: undefined } } }
    : { protocol: { $case: 'UDP', value: { sourcePort, destinationPort } } };
}

function reversed(l4: Layer4 | undefined): Layer4 | undefined {
  const protocol = l4?.protocol;
  if (protocol?.$case !== 'TCP' && protocol?.$case !== 'UDP') return l4;
  return layer4(protocol.$case === 'TCP', protocol.value.destinationPort, protocol.value.sourcePort);
}

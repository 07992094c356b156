/**
 * A logged packet's record as Hubble's flows: the verdict, and, of what was denied, the drop.
 *
 * Verdicts: FORWARDED for the first packet of an allowed connection, DROPPED, AUDIT for what audit mode let pass. A packet with a local
 * pod's address from elsewhere than that pod is a drop alone, with IDENTITY_STALE in `policy_log` and in the summary (Hubble has no such
 * reason), and its end is shown as nobody: never as the pod that it claims to be.
 * Does not know where records come from.
 */
import { DENY, formatAddress } from '@tandem/core';
import { DropReason, type Endpoint, type Flow, FlowType, IPVersion, TrafficDirection, Verdict } from '@tandem/proto';
import type { DecodeContext, RingOwner } from './decode.js';
import { type AddressInfo, NOBODY } from './directory.js';
import type { ObservedFlow } from './flow-log.js';
import { BLANK_FLOW, observed, uuidOf } from './observed-flow.js';
import { MATCH, type PacketRecord } from './packet-record.js';
import { layer4Of, packetSummary } from './packet-text.js';

/** Cilium's monitor API. */
const EVENT_TYPE_DROP = 1;
const EVENT_TYPE_POLICY_VERDICT = 5;
const IDENTITY_STALE = 'IDENTITY_STALE';

export function decodePacket(record: PacketRecord, owner: RingOwner, context: DecodeContext): readonly ObservedFlow[] {
  const base = baseOf(record, owner, context);
  const flows = record.verdict === 'stranger' ? [dropOf(base, DropReason.INVALID_SOURCE_IP)] : judgedOf(record, base);
  const timeMs = record.bootedAtMs + record.atMs;
  return flows.map((flow, i) => observed(flow, timeMs, uuidOf(owner.ringId, record.firstFlow + i, record.atMs)));
}

function judgedOf(record: PacketRecord, base: Flow): readonly Flow[] {
  const verdict = { ...base, eventType: { type: EVENT_TYPE_POLICY_VERDICT, subType: 0 }, policyMatchType: record.match };
  if (record.verdict === 'allowed') return [{ ...verdict, verdict: Verdict.FORWARDED }];
  if (record.verdict !== 'denied') return [{ ...verdict, verdict: Verdict.AUDIT }];
  const reason = record.match === MATCH.none ? DropReason.POLICY_DENIED : DropReason.POLICY_DENY;
  return [{ ...verdict, verdict: Verdict.DROPPED, dropReason: reason, dropReasonDesc: reason }, dropOf(base, reason)];
}

function dropOf(base: Flow, reason: DropReason): Flow {
  return { ...base, verdict: Verdict.DROPPED, eventType: { type: EVENT_TYPE_DROP, subType: reason }, dropReason: reason, dropReasonDesc: reason };
}

function baseOf(record: PacketRecord, owner: RingOwner, context: DecodeContext): Flow {
  const { directory, nodeName } = context;
  const [source, destination] = [formatAddress(record.bytes, record.sourceAt), formatAddress(record.bytes, record.destinationAt)];
  const [from, to] = [directory.at(source), directory.at(destination)];
  const isEgress = record.direction === 'egress';
  const isStale = isStranger(record);
  const summary = packetSummary(record);
  return {
    ...BLANK_FLOW,
    IP: { source, destination, ipVersion: source.includes(':') ? IPVersion.IPv6 : IPVersion.IPv4, encrypted: false, sourceXlated: '' },
    l4: layer4Of(record),
    source: isEgress ? judgedEnd(record, from, context) : from.endpoint,
    destination: isEgress ? to.endpoint : judgedEnd(record, to, context),
    Type: FlowType.L3_L4,
    nodeName,
    sourceNames: isEgress ? [] : [...record.names],
    destinationNames: isEgress ? [...record.names] : [],
    sourceService: from.service,
    destinationService: to.service,
    isReply: false,
    trafficDirection: isEgress ? TrafficDirection.EGRESS : TrafficDirection.INGRESS,
    interface: record.interfaceIndex === 0 ? undefined : { index: record.interfaceIndex, name: '' },
    emitter: { name: `tandem-${owner.role}`, version: owner.release },
    ...(isStale ? {} : policiesOf(record, context)),
    policyLog: isStale ? [IDENTITY_STALE] : [],
    Summary: isStale ? `${summary}; ${IDENTITY_STALE}` : summary,
  };
}

function isStranger({ verdict }: PacketRecord): boolean {
  return verdict === 'stranger' || verdict === 'audited-stranger';
}

/** The pod that was judged. */
function judgedEnd(record: PacketRecord, at: AddressInfo, { directory }: DecodeContext): Endpoint {
  if (isStranger(record)) return NOBODY;
  return directory.endpoint(record.endpointId) ?? at.endpoint;
}

function policiesOf(record: PacketRecord, { directory }: DecodeContext): Partial<Flow> {
  const { revision, endpointId, rule, direction } = record;
  const policies = [...directory.policies({ revision, endpointId, rule, direction })];
  if (rule > DENY) return direction === 'egress' ? { egressAllowedBy: policies } : { ingressAllowedBy: policies };
  return direction === 'egress' ? { egressDeniedBy: policies } : { ingressDeniedBy: policies };
}

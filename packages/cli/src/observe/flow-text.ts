/**
 * The parts of a flow as Hubble's client words them: host, identity, type, verdict, summary. What a stranger chose (names, labels) is made
 * printable. Knows nothing of lines and columns.
 */
import { type Flow, flowPb, Verdict } from '@tandem/proto';
import type { Colours } from '../colours.js';
import { printable } from '../output.js';
import { EVENT_TYPES, RESERVED_IDENTITIES, TRACE_POINTS } from './filter-flags.js';

export interface TextOptions {
  /** Names of pods, Services and DNS instead of addresses. */
  readonly translatesIps: boolean;
  readonly colours: Colours;
}

export type FlowEnd = 'source' | 'destination';

/** The place is the number. */
const MATCH_TYPES = ['none', 'L3-Only', 'L3-L4', 'L4-Only', 'all', 'L3-Proto', 'Proto-Only'] as const;
const SOCKET_POINTS: Readonly<Record<number, string>> = { 1: 'pre-xlate-fwd', 2: 'post-xlate-fwd', 3: 'pre-xlate-rev', 4: 'post-xlate-rev' };
/** Those whose words are not those of the enum. */
const DROP_REASONS: Readonly<Record<number, string>> = { 130: 'Invalid source mac', 132: 'Invalid source ip', 181: 'Policy denied by denylist', 189: 'Authentication required' };

/** `shop/web-1:41000`, `10.0.0.7:53`. */
export function hostText(flow: Flow, end: FlowEnd, { translatesIps, colours }: TextOptions): string {
  const { IP, ethernet } = flow;
  if (IP === undefined) return colours.host(printable(ethernet?.[end] ?? ''));
  const name = translatesIps ? nameOf(flow, end) : '';
  const host = name === '' ? IP[end] : name;
  const port = portOf(flow, end);
  if (port === 0) return colours.host(printable(host));
  return colours.host(`${host.includes(':') ? `[${printable(host)}]` : printable(host)}:${colours.port(String(port))}`);
}

/** `(ID:300)`, `(world)`. */
export function identityText(flow: Flow, end: FlowEnd, { colours }: TextOptions): string {
  const identity = flow[end]?.identity ?? 0;
  return colours.identity(`(${identity < RESERVED_IDENTITIES.length ? RESERVED_IDENTITIES[identity] : `ID:${identity}`})`);
}

/** `dns-request proxy`, `policy-verdict:none EGRESS`. */
export function typeText(flow: Flow): string {
  const { l7 } = flow;
  if (l7 !== undefined) {
    const type = flowPb.l7FlowTypeToJSON(l7.type).toLowerCase();
    if (l7.record === undefined) return `l7-${type}`;
    return l7.record.$case === 'dns' ? `dns-${type} ${printable(l7.record.value.observationSource)}` : `${l7.record.$case}-${type}`;
  }
  const { type, subType } = flow.eventType ?? { type: 0, subType: 0 };
  switch (type) {
    case EVENT_TYPES.trace:
      return TRACE_POINTS.at(subType) ?? String(subType);
    case EVENT_TYPES.drop:
      return dropText(subType);
    case EVENT_TYPES['policy-verdict']:
      return `policy-verdict:${MATCH_TYPES.at(flow.policyMatchType) ?? flow.policyMatchType} ${flowPb.trafficDirectionToJSON(flow.trafficDirection)}`;
    case EVENT_TYPES.capture:
      return flowPb.debugCapturePointToJSON(flow.debugCapturePoint);
    case EVENT_TYPES['trace-sock']:
      return SOCKET_POINTS[flow.sockXlatePoint] ?? flowPb.socketTranslationPointToJSON(flow.sockXlatePoint);
    default:
      return 'UNKNOWN';
  }
}

export function verdictText(flow: Flow, { colours }: TextOptions): string {
  const isPolicyVerdict = flow.eventType?.type === EVENT_TYPES['policy-verdict'];
  const text = flowPb.verdictToJSON(flow.verdict);
  switch (flow.verdict) {
    case Verdict.FORWARDED:
    case Verdict.REDIRECTED:
      return colours.good(isPolicyVerdict ? 'ALLOWED' : text);
    case Verdict.DROPPED:
    case Verdict.ERROR:
      return colours.bad(isPolicyVerdict ? 'DENIED' : text);
    case Verdict.AUDIT:
      return colours.warn(isPolicyVerdict ? 'AUDITED' : text);
    case Verdict.TRACED:
    case Verdict.TRANSLATED:
      return colours.warn(text);
    default:
      return text;
  }
}

export function summaryText(flow: Flow): string {
  const trace = flow.ipTraceId !== undefined && flow.ipTraceId.traceId > 0n ? `IP Trace ID: ${flow.ipTraceId.traceId}; ` : '';
  const auth = flow.authType === flowPb.AuthType.DISABLED ? '' : `; ${flowPb.authTypeToJSON(flow.authType)}`;
  return `${trace}${printable(flow.Summary)}${auth}`;
}

function nameOf(flow: Flow, end: FlowEnd): string {
  const pod = flow[end];
  const service = end === 'source' ? flow.sourceService : flow.destinationService;
  const names = end === 'source' ? flow.sourceNames : flow.destinationNames;
  // A Service's namespace goes before the pod's, as at Hubble: where both are known they are the same.
  const namespace = service?.namespace ?? pod?.namespace ?? '';
  const name = pod !== undefined && pod.podName !== '' ? pod.podName : (service?.name ?? '');
  if (name !== '') return namespace === '' ? name : `${namespace}/${name}`;
  return names.join(',');
}

function portOf(flow: Flow, end: FlowEnd): number {
  const protocol = flow.l4?.protocol;
  if (protocol === undefined || protocol.$case === 'ICMPv4' || protocol.$case === 'ICMPv6') return 0;
  return end === 'source' ? protocol.value.sourcePort : protocol.value.destinationPort;
}

/** `POLICY_DENIED` → `Policy denied`. */
function dropText(reason: number): string {
  const words = DROP_REASONS[reason] ?? flowPb.dropReasonToJSON(reason as flowPb.DropReason).toLowerCase().replaceAll('_', ' ');
  return words === 'unrecognized' ? String(reason) : words.charAt(0).toUpperCase() + words.slice(1);
}

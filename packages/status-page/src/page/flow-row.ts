/** A flow, as Hubble writes it in JSON, made into the texts of one row. Names come from strangers: made visible, and bounded. */
import { clockText, millisecondsText, visible } from './format.js';
import type { Level } from './pair-model.js';

export interface FlowAnswer {
  /** To be given back as `since`. */
  readonly cursor: string;
  /** The oldest first. */
  readonly flows: readonly FlowJson[];
  /** There were more that match than this answer has, or there may be. */
  readonly more: boolean;
}

/** The fields of `flow.Flow` that the page reads; names as in the .proto, zero values absent. */
export interface FlowJson {
  readonly time?: string;
  readonly uuid?: string;
  readonly verdict?: string;
  readonly drop_reason_desc?: string;
  readonly is_reply?: boolean;
  /** `L7`, or `L3_L4` for a connection. */
  readonly Type?: string;
  readonly event_type?: { readonly type?: number };
  readonly source_names?: readonly string[];
  readonly destination_names?: readonly string[];
  readonly policy_log?: readonly string[];
  readonly IP?: { readonly source?: string; readonly destination?: string };
  readonly l4?: Readonly<Record<string, { readonly source_port?: number; readonly destination_port?: number }>>;
  readonly source?: FlowEnd;
  readonly destination?: FlowEnd;
  readonly l7?: {
    readonly type?: string;
    readonly latency_ns?: string;
    readonly dns?: {
      readonly query?: string;
      readonly ips?: readonly string[];
      readonly ttl?: number;
      readonly cnames?: readonly string[];
      readonly rcode?: number;
      readonly qtypes?: readonly string[];
    };
  };
}

interface FlowEnd {
  readonly namespace?: string;
  readonly pod_name?: string;
  readonly labels?: readonly string[];
}

export interface FlowRow {
  readonly uuid: string;
  /** RFC 3339. */
  readonly time: string;
  readonly clock: string;
  readonly from: string;
  readonly to: string;
  readonly kind: string;
  readonly name: string;
  readonly types: string;
  readonly verdict: string;
  readonly level: Level;
  /** Of a query or a connection that was refused: why. */
  readonly answer: string;
  readonly latency: string;
}

const NAME_CHARACTERS_MAX = 255;
const IPS_SHOWN_MAX = 4;
const NS_PER_MS = 1e6;
/** Cilium's monitor API. */
const EVENT_TYPE_DROP = 1;
const RCODES: Readonly<Record<number, string>> = { 0: 'NOERROR', 1: 'FORMERR', 2: 'SERVFAIL', 3: 'NXDOMAIN', 4: 'NOTIMP', 5: 'REFUSED' };
const LEVELS: Readonly<Record<string, Level>> = { FORWARDED: 'good', DROPPED: 'bad', ERROR: 'bad', AUDIT: 'warn' };

export function flowRow(flow: FlowJson): FlowRow {
  return flow.Type === 'L3_L4' ? connectionRow(flow) : queryRow(flow);
}

function connectionRow(flow: FlowJson): FlowRow {
  const [from, to] = [end(flow, 'source'), end(flow, 'destination')];
  const names = [...(flow.source_names ?? []), ...(flow.destination_names ?? [])];
  const kind = flow.event_type?.type === EVENT_TYPE_DROP ? 'drop' : 'connection';
  return {
    ...commonOf(flow), uuid: flow.uuid ?? `${flow.time ?? ''}/${from}/${to}/${kind}`, from, to, kind,
    name: text(names.join(', ')),
    types: Object.keys(flow.l4 ?? {}).join(','),
    answer: text((flow.policy_log ?? [])[0] ?? flow.drop_reason_desc ?? ''),
    latency: '',
  };
}

function commonOf(flow: FlowJson): Pick<FlowRow, 'time' | 'clock' | 'verdict' | 'level'> {
  const verdict = flow.verdict ?? '';
  return { time: flow.time ?? '', clock: flow.time === undefined ? '' : clockText(Date.parse(flow.time), true), verdict, level: LEVELS[verdict] ?? 'warn' };
}

function queryRow(flow: FlowJson): FlowRow {
  const { l7 } = flow;
  const dns = l7?.dns;
  const isReply = flow.is_reply === true || l7?.type === 'RESPONSE';
  // A reply goes from the server to the client; both kinds of row read alike when the client stands first.
  const [client, server] = isReply ? [end(flow, 'destination'), end(flow, 'source')] : [end(flow, 'source'), end(flow, 'destination')];
  const latencyNs = Number(l7?.latency_ns ?? 0);
  return {
    ...commonOf(flow),
    uuid: flow.uuid ?? `${flow.time ?? ''}/${client}/${dns?.query ?? ''}/${String(isReply)}`,
    from: client,
    to: server,
    kind: isReply ? 'answer' : 'query',
    name: text(dns?.query ?? ''),
    types: (dns?.qtypes ?? []).join(','),
    answer: isReply ? answerText(dns ?? {}) : (flow.drop_reason_desc ?? ''),
    latency: latencyNs > 0 ? millisecondsText(latencyNs / NS_PER_MS) : '',
  };
}

function end(flow: FlowJson, side: 'source' | 'destination'): string {
  const { namespace, pod_name: pod } = flow[side] ?? {};
  const l4 = Object.values(flow.l4 ?? {})[0];
  const port = side === 'source' ? l4?.source_port : l4?.destination_port;
  const address = flow.IP?.[side] ?? '';
  const host = pod === undefined || pod === '' ? address : `${namespace ?? ''}/${pod}`;
  return text(port === undefined || port === 0 ? host : host === address && address.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);
}

function answerText({ rcode = 0, ips = [], cnames = [], ttl }: NonNullable<NonNullable<FlowJson['l7']>['dns']>): string {
  if (rcode !== 0) return RCODES[rcode] ?? `RCODE ${rcode}`;
  const shown = ips.length > IPS_SHOWN_MAX ? `${ips.slice(0, IPS_SHOWN_MAX).join(', ')} +${ips.length - IPS_SHOWN_MAX}` : ips.join(', ');
  const parts = [shown, cnames.length > 0 ? `CNAME ${text(cnames.join(', '))}` : ''].filter((part) => part !== '');
  if (parts.length === 0) return 'NOERROR, no data';
  return ttl === undefined ? parts.join('; ') : `${parts.join('; ')} (${ttl} s)`;
}

function text(name: string): string {
  const shown = visible(name);
  return shown.length > NAME_CHARACTERS_MAX ? `${shown.slice(0, NAME_CHARACTERS_MAX)}…` : shown;
}

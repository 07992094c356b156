/** The fields of a flow filter that are about what was said and what became of it. */
import { AppError } from '@tandem/core';
import { type Flow, type FlowFilter, type flowPb, Verdict } from '@tandem/proto';
import { equalityTest, fieldTest, type FlowTest } from './filter-fields.js';
import { labelTest } from './filter-labels.js';
import { nodeTest, quoted } from './filter-names.js';
import type { Patterns } from './filter-patterns.js';

const ACCESS_LOG = 129;
const STATUS_CODE = /^[1-5][0-9]{2}$/;
const STATUS_PREFIX = /^([1-5][0-9]?)\+$/;

/** Lower case; each says whether a flow is of it. */
const PROTOCOLS: Readonly<Record<string, FlowTest>> = {
  icmp: (flow) => isLayer4(flow, 'ICMPv4') || isLayer4(flow, 'ICMPv6'),
  icmpv4: (flow) => isLayer4(flow, 'ICMPv4'),
  icmpv6: (flow) => isLayer4(flow, 'ICMPv6'),
  tcp: (flow) => isLayer4(flow, 'TCP'),
  udp: (flow) => isLayer4(flow, 'UDP'),
  sctp: (flow) => isLayer4(flow, 'SCTP'),
  dns: (flow) => flow.l7?.record?.$case === 'dns',
  http: (flow) => flow.l7?.record?.$case === 'http',
  kafka: (flow) => flow.l7?.record?.$case === 'kafka',
};

/** @throws AppError USAGE. */
export function trafficTests(filter: FlowFilter, patterns: Patterns): FlowTest[] {
  return [
    ...equalityTest(filter.verdict, (flow) => flow.verdict),
    ...equalityTest(filter.trafficDirection, (flow) => flow.trafficDirection),
    ...equalityTest(filter.ipVersion, (flow) => flow.IP?.ipVersion),
    ...equalityTest(filter.uuid, (flow) => flow.uuid),
    ...equalityTest(filter.dropReasonDesc, (flow) => (flow.verdict === Verdict.DROPPED ? flow.dropReasonDesc : undefined)),
    ...equalityTest(filter.reply, replyOf),
    ...equalityTest(filter.encrypted, (flow) => flow.IP?.encrypted),
    ...equalityTest(filter.traceId, (flow) => flow.traceContext?.parent?.traceId ?? ''),
    ...equalityTest(filter.ipTraceId, (flow) => flow.ipTraceId?.traceId),
    ...fieldTest('event_type', filter.eventType, (type) => type, isOfType),
    ...fieldTest('protocol', filter.protocol, protocolTest, (flow, matches) => matches(flow)),
    ...fieldTest('tcp_flags', filter.tcpFlags, (flags) => flags, hasFlags),
    ...fieldTest('interface', filter.interface, (wanted) => wanted, isOn),
    ...fieldTest('node_name', filter.nodeName, nodeTest, (flow, matches) => matches(flow.nodeName)),
    ...fieldTest('node_labels', filter.nodeLabels, labelTest, (flow, matches) => matches(flow.nodeLabels)),
    ...fieldTest('dns_query', filter.dnsQuery, (pattern) => patterns.test(pattern), (flow, matches) => {
      const record = flow.l7?.record;
      return record?.$case === 'dns' && matches(record.value.query);
    }),
    ...httpTests(filter, patterns),
  ];
}

/** The pair sees no HTTP; flows of another emitter may have it. */
function httpTests(filter: FlowFilter, patterns: Patterns): FlowTest[] {
  const { httpStatusCode, httpMethod, httpPath, httpUrl, httpHeader, eventType } = filter;
  const isWanted = [httpStatusCode, httpMethod, httpPath, httpUrl, httpHeader].some((values) => values.length > 0);
  if (isWanted && eventType.length > 0 && !eventType.some(({ type }) => type === ACCESS_LOG)) {
    throw new AppError('USAGE', `http_*: only flows of event type ${ACCESS_LOG} (l7) have HTTP, which event_type does not name`);
  }
  return [
    ...fieldTest('http_status_code', httpStatusCode, statusPrefix, (flow, prefix) => {
      const code = httpOf(flow)?.code ?? 0;
      return code !== 0 && String(code).padStart(3, '0').startsWith(prefix);
    }),
    ...fieldTest('http_method', httpMethod, (method) => method.toLowerCase(), (flow, method) => {
      const found = httpOf(flow)?.method ?? '';
      return found !== '' && found.toLowerCase() === method;
    }),
    ...fieldTest('http_path', httpPath, (pattern) => patterns.test(pattern), (flow, matches) => {
      const path = pathOf(httpOf(flow)?.url ?? '');
      return path !== null && matches(path);
    }),
    ...fieldTest('http_url', httpUrl, (pattern) => patterns.test(pattern), (flow, matches) => {
      const url = httpOf(flow)?.url ?? '';
      return url !== '' && matches(url);
    }),
    ...fieldTest('http_header', httpHeader, (wanted) => wanted, (flow, { key, value }) => (
      httpOf(flow)?.headers.some((header) => (key === '' || key === header.key) && (value === '' || value === header.value)) ?? false
    )),
  ];
}

function isLayer4(flow: Flow, protocol: string): boolean {
  return flow.l4?.protocol?.$case === protocol;
}

function protocolTest(text: string): FlowTest {
  const name = text.toLowerCase();
  if (!Object.hasOwn(PROTOCOLS, name)) throw new AppError('USAGE', `${quoted(text)} is not one of ${Object.keys(PROTOCOLS).join(', ')}`);
  return PROTOCOLS[name];
}

/** Of a dropped flow it is not known; Hubble counts it with those that are none. */
function replyOf(flow: Flow): boolean | undefined {
  return flow.isReply ?? (flow.verdict === Verdict.DROPPED ? false : undefined);
}

function isOfType({ eventType }: Flow, wanted: flowPb.EventTypeFilter): boolean {
  if (eventType === undefined || (wanted.type !== 0 && wanted.type !== eventType.type)) return false;
  return !wanted.matchSubType || wanted.subType === eventType.subType;
}

const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR', 'NS'] as const;

function hasFlags(flow: Flow, wanted: flowPb.TCPFlags): boolean {
  const protocol = flow.l4?.protocol;
  const flags = protocol?.$case === 'TCP' ? protocol.value.flags : undefined;
  return flags !== undefined && FLAGS.every((flag) => !wanted[flag] || flags[flag]);
}

function isOn(flow: Flow, wanted: flowPb.NetworkInterface): boolean {
  const found = flow.interface;
  return found !== undefined && (wanted.index === 0 || wanted.index === found.index) && (wanted.name === '' || wanted.name === found.name);
}

function httpOf(flow: Flow): flowPb.HTTP | undefined {
  const record = flow.l7?.record;
  return record?.$case === 'http' ? record.value : undefined;
}

function statusPrefix(text: string): string {
  if (STATUS_CODE.test(text)) return text;
  const prefix = STATUS_PREFIX.exec(text);
  if (prefix === null) throw new AppError('USAGE', `${quoted(text)} is neither a status code nor the beginning of one with "+"`);
  return prefix[1];
}

/** Null for what is no URL. */
function pathOf(url: string): string | null {
  if (!url.startsWith('/') && !/^[a-z][a-z0-9+.-]*:/i.test(url)) return null;
  try {
    return decodeURIComponent(new URL(url, 'http://host').pathname);
  } catch {
    return null;
  }
}

/**
 * Hubble's rules of flow filters and requests once more, as dumb as can be: over JSON forms, texts and lists, without any code of the
 * service. What differs between the two is a fault in one of them.
 */
import { Flow, FlowFilter, type GetFlowsRequest } from '@tandem/proto';

// JSON forms are looked into as they come.
/* eslint-disable @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-return, @typescript-eslint/no-unsafe-call, @typescript-eslint/no-explicit-any */
type Json = Readonly<Record<string, any>>;

const forms = new WeakMap<object, Json>();

function jsonOf<T extends object>(message: T, toJson: (message: T) => unknown): Json {
  const form = forms.get(message) ?? toJson(message) as Json;
  forms.set(message, form);
  return form;
}

/** The flows of a request that does not follow, in the order of time; `flows` are in that order. */
export function referenceQuery(request: GetFlowsRequest, flows: readonly Flow[]): Flow[] {
  const msOf = (time: { seconds: bigint; nanos: number } | undefined): number => Number(time!.seconds) * 1000 + time!.nanos / 1e6;
  const matching = flows
    .filter((flow) => request.since === undefined || msOf(flow.time) >= msOf(request.since))
    .filter((flow) => request.until === undefined || msOf(flow.time) <= msOf(request.until))
    .filter((flow) => request.whitelist.length === 0 || request.whitelist.some((filter) => referenceMatches(filter, flow)))
    .filter((flow) => !request.blacklist.some((filter) => referenceMatches(filter, flow)));
  const number = Number(request.number);
  if (number === 0) return matching;
  return request.first ? matching.slice(0, number) : matching.slice(-number);
}

export function referenceMatches(filter: FlowFilter, flow: Flow): boolean {
  const wanted = jsonOf(filter, (value) => FlowFilter.toJSON(value));
  const found = jsonOf(flow, (value) => Flow.toJSON(value));
  return Object.keys(wanted).every((field) => (wanted[field] as any[]).some((value) => matchesField(field, value, found)));
}

function matchesField(field: string, value: any, flow: Json): boolean {
  const side = field.startsWith('source_') ? 'source' : 'destination';
  const end: Json = flow[side] ?? {};
  const service: Json = flow[`${side}_service`] ?? {};
  const http: Json | undefined = flow.l7?.http;
  switch (field.replace(/^(source|destination)_/, '')) {
    case 'ip': return inRange(flow.IP?.[side] ?? '', value);
    case 'ip_xlated': return inRange(flow.IP?.source_xlated ?? '', value);
    case 'pod': return isNamed(value, end.namespace ?? '', end.pod_name ?? '');
    case 'service': return isNamed(value, service.namespace ?? '', service.name ?? '');
    case 'fqdn': return (flow[`${side}_names`] ?? []).some((name: string) => wildcard(value).test(name));
    case 'label': return selects(value, end.labels ?? []);
    case 'node_labels': return selects(value, flow.node_labels ?? []);
    case 'port': return Object.entries(flow.l4 ?? {}).some(([name, l4]: any) => !name.startsWith('ICMP') && (l4[`${side}_port`] ?? 0) === Number(value));
    case 'identity': return (end.identity ?? 0) === value;
    case 'workload': return (end.workloads ?? []).some((one: Json) => (!value.name || value.name === one.name) && (!value.kind || value.kind === one.kind));
    case 'cluster_name': return (end.cluster_name ?? '') === value && flow[side] !== undefined;
    case 'verdict': return (flow.verdict ?? 'VERDICT_UNKNOWN') === value;
    case 'drop_reason_desc': return flow.verdict === 'DROPPED' && (flow.drop_reason_desc ?? 'DROP_REASON_UNKNOWN') === value;
    case 'event_type': return flow.event_type !== undefined && (!value.type || value.type === flow.event_type.type) && (!value.match_sub_type || (value.sub_type ?? 0) === (flow.event_type.sub_type ?? 0));
    case 'traffic_direction': return (flow.traffic_direction ?? 'TRAFFIC_DIRECTION_UNKNOWN') === value;
    case 'reply': return (flow.is_reply ?? (flow.verdict === 'DROPPED' ? false : null)) === value;
    case 'encrypted': return flow.IP !== undefined && (flow.IP.encrypted ?? false) === value;
    case 'ip_version': return flow.IP !== undefined && (flow.IP.ipVersion ?? 'IP_NOT_USED') === value;
    case 'uuid': return (flow.uuid ?? '') === value;
    case 'trace_id': return (flow.trace_context?.parent?.trace_id ?? '') === value;
    case 'ip_trace_id': return flow.ip_trace_id !== undefined && (flow.ip_trace_id.trace_id ?? '0') === value;
    case 'interface': return flow.interface !== undefined && (!value.index || value.index === flow.interface.index) && (!value.name || value.name === flow.interface.name);
    case 'tcp_flags': return flow.l4?.TCP?.flags !== undefined && Object.keys(value).every((flag) => flow.l4.TCP.flags[flag] === true);
    case 'protocol': return isOf(value.toLowerCase(), flow);
    case 'node_name': return isOn(value, flow.node_name ?? '');
    case 'dns_query': return flow.l7?.dns !== undefined && new RegExp(value).test(flow.l7.dns.query ?? '');
    case 'http_status_code': return http?.code !== undefined && String(http.code).startsWith(value.replace('+', ''));
    case 'http_method': return http?.method !== undefined && http.method.toUpperCase() === value.toUpperCase();
    case 'http_path': return http?.url !== undefined && new RegExp(value).test(http.url.replace(/^http:\/\/[^/]*/, '').replace(/\?.*/, ''));
    case 'http_url': return http?.url !== undefined && new RegExp(value).test(http.url);
    case 'http_header': return (http?.headers ?? []).some((one: Json) => (!value.key || value.key === one.key) && (!value.value || value.value === one.value));
    default: throw new Error(`a filter field without a rule: ${field}`);
  }
}

function isOf(protocol: string, flow: Json): boolean {
  const [l4 = ''] = Object.keys(flow.l4 ?? {});
  if (protocol === 'icmp') return l4.startsWith('ICMP');
  return l4.toLowerCase() === protocol || flow.l7?.[protocol] !== undefined;
}

function isNamed(wanted: string, namespace: string, name: string): boolean {
  if (namespace === '' && name === '') return false;
  const [left, right] = wanted.includes('/') ? wanted.split('/') : ['default', wanted];
  return (left === '' || left === namespace) && name.startsWith(right);
}

function wildcard(pattern: string): RegExp {
  const parts = pattern.toLowerCase().replace(/\.$/, '').split('*').map((part) => part.replaceAll('.', '[.]'));
  return new RegExp(`^${parts.join('.*')}[.]?$`, 'i');
}

function isOn(pattern: string, node: string): boolean {
  const [cluster, name] = node.includes('/') ? node.split('/') : ['default', node];
  const [wantedCluster, wantedName] = pattern.includes('/') ? pattern.split('/') : ['', pattern];
  return node !== '' && (wantedCluster === '' || wildcard(wantedCluster).test(cluster)) && (wantedName === '' || wildcard(wantedName).test(name));
}

function bitsOf(address: string): string {
  if (!address.includes(':')) return address.split('.').map((part) => Number(part).toString(2).padStart(8, '0')).join('');
  const [left, right] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const groups = right === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return groups.map((group) => parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}

function inRange(address: string, range: string): boolean {
  if (address === '') return false;
  const [base, length] = range.split('/');
  const [one, other] = [bitsOf(address), bitsOf(base)];
  const bits = length === undefined ? other.length : Number(length);
  return one.length === other.length && one.slice(0, bits) === other.slice(0, bits);
}

/** "and" is written `,` outside of parentheses. */
function selects(selector: string, labels: readonly string[]): boolean {
  return selector.replaceAll(/\([^)]*\)/g, (set) => set.replaceAll(',', ';')).split(',').every((part) => {
    const text = part.trim();
    const words = /^(!?) *([^ =!(]+) *(==|=|!=|notin|in|)(.*)$/.exec(text)!;
    const [, not, key, operator, rest] = words;
    const [source, name] = key.includes(':') ? key.split(':') : ['any', key];
    const label = labels.find((one) => {
      const [left] = one.split('=');
      return left.slice(left.indexOf(':') + 1) === name && (source === 'any' || left.startsWith(`${source}:`));
    });
    const value = label === undefined ? null : label.split('=')[1] ?? '';
    const values = rest.replaceAll(/[()]/g, '').split(';').map((one) => one.trim());
    switch (operator) {
      case '': return (label === undefined) === (not === '!');
      case '=': case '==': case 'in': return value !== null && values.includes(value);
      default: return value === null || !values.includes(value);
    }
  });
}

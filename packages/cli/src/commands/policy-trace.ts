/** `tandem policy trace`: what policy says to one question or one connection, and which rule says so. */
import { InvalidArgumentError, type Command } from 'commander';
import { AppError, canonicalAddress, L4_PROTOCOL, parseSocketAddress, type RuleOrigin } from '@tandem/core';
import { typeNumber } from '@tandem/dns';
import type { ConnectionView, DirectionView, NearView, TracePartyView, TraceView } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, ownLabels, render } from '../output.js';

interface Server {
  readonly server: string;
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
}

interface Peer {
  readonly to: string;
  readonly port: number;
  /** `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`. */
  readonly protocol: string;
}

interface Options extends CommonOptions {
  readonly from: string;
  readonly server?: Server;
  readonly to?: Peer;
  readonly name?: string;
  readonly type?: string;
}

export function policyTraceCommand(io: Io): Command {
  return memberCommand('trace', 'Say what policy makes of one question to a DNS server, or of one connection, and why.', [
    'tandem policy trace --from demo/web --server 127.0.0.153:53/UDP --name www.shop.example',
    'tandem policy trace --from 127.0.1.2 --server 127.0.0.153:53/TCP --name www.shop.example --type AAAA -o json',
    'tandem policy trace --from demo/web --to demo/api:8080/TCP',
    'tandem policy trace --from demo/web --to 203.0.113.7:443 --name www.shop.example',
    'tandem policy trace --from demo/web --to 203.0.113.7:8/ICMP',
  ])
    .requiredOption('--from <POD>', 'who asks or connects: NAMESPACE/POD or an address')
    .option('--server <IP:PORT/PROTO>', 'a question: the DNS server; PROTO is UDP (default) or TCP', parseServer)
    .option('--to <PEER:PORT/PROTO>', 'a connection: NAMESPACE/POD or an address; PROTO is TCP (default), UDP, SCTP, or ICMP or ICMPv6 with its type as PORT', parsePeer)
    .option('--name <NAME>', 'the name asked for; of a connection: the name by which its address was learned')
    .option('--type <TYPE>', 'the DNS type asked for, such as AAAA or TYPE65 (default: A)', parseType)
    .action(async ({ from, server, to, name, type, ...options }: Options) => {
      const target = targetOf(options, io.env);
      if ((server === undefined) === (to === undefined)) throw new AppError('USAGE', 'give either --server (a question) or --to (a connection)');
      if (server !== undefined) {
        if (name === undefined) throw new AppError('USAGE', '--server needs --name: the name asked for');
        const body = { from, ...server, name, ...(type === undefined ? {} : { type }) };
        const trace = await ask<TraceView>(target, { method: 'POST', path: '/api/v1/policy/trace', body });
        io.out(render(trace, options.output, () => textOf(trace)));
        return;
      }
      if (type !== undefined) throw new AppError('USAGE', '--type is of a question; give --server instead of --to');
      const body = { from, ...to, ...(name === undefined ? {} : { name }) };
      const trace = await ask<ConnectionView>(target, { method: 'POST', path: '/api/v1/policy/trace/connection', body });
      io.out(render(trace, options.output, () => connectionText(trace)));
    });
}

export function parsePeer(text: string): Peer {
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})(?:\/([A-Za-z0-9]+))?$/.exec(text);
  const protocol = (found?.[4] ?? 'TCP').toLowerCase();
  const isAddress = found?.[1] === undefined || canonicalAddress(found[1]) !== null;
  if (found === null || !isAddress || !Object.hasOwn(L4_PROTOCOL, protocol) || Number(found[3]) > 65535) {
    throw new InvalidArgumentError('PEER:PORT/PROTO is expected, such as demo/api:8080/TCP, [fd00::7]:443 or 10.0.0.7:8/ICMP.');
  }
  return { to: found[1] ?? found[2], port: Number(found[3]), protocol };
}

function parseType(text: string): string {
  if (typeNumber(text) < 0) throw new InvalidArgumentError('A DNS type is expected, such as A, HTTPS or TYPE65.');
  return text;
}

export function parseServer(text: string): Server {
  const [where, protocol = 'UDP', ...rest] = text.split('/');
  const at = parseSocketAddress(where);
  const wanted = protocol.toLowerCase();
  if (at === null || at.port === 0 || rest.length > 0 || (wanted !== 'udp' && wanted !== 'tcp')) {
    throw new InvalidArgumentError('IP:PORT/PROTO is expected, such as 10.96.0.10:53/UDP or [fd53::1]:53/TCP.');
  }
  return { server: at.address, port: at.port, protocol: wanted };
}

function textOf(trace: TraceView): string {
  const { endpoint, server } = trace;
  const rows: string[][] = [
    ['Verdict', `${trace.verdict}: ${trace.reason}`],
    ['From', endpoint === null ? 'unknown' : `${endpoint.namespace}/${endpoint.pod} (endpoint ${endpoint.id}, identity ${endpoint.identity})`],
    ['Server', `${server.address} port ${trace.port}/${trace.protocol.toUpperCase()}: ${[server.kind, ...server.services].join(' ')}`],
    ...server.targets.map((target) => ['', `identity ${target.identity}, port ${target.ports.join(' or ')}, ${namespaceOf(target.labels)}${ownLabels(target.labels)}`]),
    ['Name', trace.name],
  ];
  if (trace.rule !== null) {
    const { pattern } = trace.rule;
    rows.push(['Rule', `${ruleText(trace.rule)}: ${pattern === null ? 'every name' : `pattern ${pattern}`}`]);
  }
  rows.push(...refusalRows(trace));
  return columns(rows);
}

function refusalRows({ nearest, deniedBy }: { readonly nearest: readonly NearView[]; readonly deniedBy: readonly RuleOrigin[] }): string[][] {
  return [
    ...nearest.map((rule, i) => [i === 0 ? 'Nearest' : '', `${ruleText(rule)}: ${rule.explanation}`]),
    ...deniedBy.map((spec, i) => [i === 0 ? 'Denied by' : '', ruleText(spec)]),
  ];
}

function connectionText(trace: ConnectionView): string {
  return columns([
    ['Verdict', trace.verdict],
    ['From', partyText(trace.from)],
    ['To', `${partyText(trace.to)}, port ${trace.port}/${trace.protocol.toUpperCase()}${trace.name === null ? '' : `, learned as ${trace.name}`}`],
    ...directionRows('Egress', trace.egress),
    ...directionRows('Ingress', trace.ingress),
  ]);
}

function partyText({ address, kind, services, endpoint, targets }: TracePartyView): string {
  if (endpoint !== null) return `${endpoint.namespace}/${endpoint.pod} (endpoint ${endpoint.id}, identity ${endpoint.identity})`;
  const whom = services.length > 0 ? services.join(' ') : targets.map(({ identity, labels }) => `identity ${identity}, ${namespaceOf(labels)}${ownLabels(labels)}`).join('; ');
  return `${address}: ${kind} ${whom}`;
}

function directionRows(title: string, direction: DirectionView): string[][] {
  const rule = direction.rule === null ? '' : `: ${ruleText(direction.rule)}`;
  return [[title, `${direction.verdict}: ${direction.reason}${rule}`], ...refusalRows(direction)];
}

function ruleText({ kind, namespace, name, path }: RuleOrigin): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`} ${path}`;
}

function namespaceOf(labels: readonly string[]): string {
  const label = labels.find((text) => text.startsWith('k8s:io.kubernetes.pod.namespace='));
  return label === undefined ? '' : `namespace ${label.slice(label.indexOf('=') + 1)}, `;
}

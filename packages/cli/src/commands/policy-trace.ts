/** `tandem policy trace`: what policy says to one question, and which rule says so. */
import { InvalidArgumentError, type Command } from 'commander';
import { parseSocketAddress, type RuleOrigin } from '@tandem/core';
import type { TraceView } from '@tandem/host';
import { ask } from '../client.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { columns, ownLabels, render } from '../output.js';

interface Server {
  readonly server: string;
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
}

interface Options extends CommonOptions {
  readonly from: string;
  readonly server: Server;
  readonly name: string;
}

export function policyTraceCommand(io: Io): Command {
  return memberCommand('trace', 'Say what policy makes of one question, and why.', [
    'tandem policy trace --from demo/web --server 127.0.0.153:53/UDP --name www.shop.example',
    'tandem policy trace --from 127.0.1.2 --server 127.0.0.153:53/TCP --name www.shop.example -o json',
  ])
    .requiredOption('--from <POD>', 'who asks: NAMESPACE/POD or an address')
    .requiredOption('--server <IP:PORT/PROTO>', 'the DNS server; PROTO is UDP (default) or TCP', parseServer)
    .requiredOption('--name <NAME>', 'the name asked for')
    .action(async (options: Options) => {
      const body = { from: options.from, ...options.server, name: options.name };
      const trace = await ask<TraceView>(targetOf(options, io.env), { method: 'POST', path: '/api/v1/policy/trace', body });
      io.out(render(trace, options.output, () => textOf(trace)));
    });
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
    rows.push(['Rule', `${ruleText(trace.rule)}: ${pattern === null ? 'any name' : `pattern ${pattern}`}`]);
  }
  rows.push(...trace.nearest.map((rule, i) => [i === 0 ? 'Nearest' : '', `${ruleText(rule)}: ${rule.explanation}`]));
  rows.push(...trace.deniedBy.map((spec, i) => [i === 0 ? 'Denied by' : '', ruleText(spec)]));
  return columns(rows);
}

function ruleText({ kind, namespace, name, path }: RuleOrigin): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`} ${path}`;
}

function namespaceOf(labels: readonly string[]): string {
  const label = labels.find((text) => text.startsWith('k8s:io.kubernetes.pod.namespace='));
  return label === undefined ? '' : `namespace ${label.slice(label.indexOf('=') + 1)}, `;
}

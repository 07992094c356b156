/**
 * Starts what is measured, with a policy of so many names, on one core or on all. Tandem runs as its users run it: whole daemons with
 * journal, flows and metrics.
 */
import { ownAddress, ownPort } from '../harness/address.js';
import type { Server } from '../harness/clients.js';
import { CLIENT_A, dnsPolicy, namespace, pod } from '../harness/manifests.js';
import { startNative } from '../harness/native.js';
import { formatServer, Pair, ROLES } from '../harness/pair.js';
import type { Entry, LoadShape, Member } from './cases.js';
import { MEASURED_CPU, pinnedTo } from './cpu.js';
import { startPeer } from './peers.js';

/** The zone that is allowed, and one that is not. */
export const ALLOWED_SUFFIX = 'bench.test';
export const DENIED_SUFFIX = 'denied.test';

export interface Contestant {
  readonly name: string;
  /** Its processes. */
  readonly pids: readonly number[];
  readonly server: Server;
  stop(): Promise<unknown>;
}

/** What a contestant is started for. */
export interface Setting {
  readonly upstream: Server;
  readonly load: LoadShape;
  readonly isPinned: boolean;
}

const PODS_PER_BLOCK = 250;
/** ::1 is everybody's: a port by process keeps two runs apart. */
const PORT_SPAN = 20_000;
const FIRST_PORT = 40_000;

/** Addresses of the pods that ask. */
export function podAddresses({ family, pods }: LoadShape): string[] {
  if (family === 6) return ['::1'];
  if (pods === 1) return [CLIENT_A];
  return Array.from({ length: pods }, (_, index) => `127.3.${String(Math.floor(index / PODS_PER_BLOCK))}.${String(1 + (index % PODS_PER_BLOCK))}`);
}

/** Suffixes that the policy allows, the one that is asked for last. */
export function allowedSuffixes(patterns: number): string[] {
  return [...Array.from({ length: patterns - 1 }, (_, index) => `zone-${String(index)}.example`), ALLOWED_SUFFIX];
}

export async function startContestant(entry: Entry, setting: Setting): Promise<Contestant> {
  const listen = setting.load.family === 6 ? { address: '::1', port: FIRST_PORT + (ownPort() + process.pid) % PORT_SPAN } : { address: ownAddress, port: ownPort() };
  const prefix = setting.isPinned ? pinnedTo(MEASURED_CPU) : [];
  switch (entry.kind) {
    case 'relay': {
      const { child } = await startNative('relay', ['--listen', formatServer(listen), '--upstream', formatServer(setting.upstream)], prefix);
      return { name: entry.name, pids: [child.pid], server: listen, stop: () => child.stop() };
    }
    case 'pair':
    case 'agent':
    case 'dns-proxy':
      return startTandem(entry, { ...setting, listen, prefix, member: entry.kind });
    default: {
      const { child, stop } = await startPeer(entry.kind, { listen, upstream: setting.upstream, prefix, suffixes: allowedSuffixes(entry.patterns), clients: podAddresses(setting.load) });
      return { name: entry.name, pids: [child.pid], server: listen, stop };
    }
  }
}

interface TandemSetting extends Setting {
  readonly listen: Server;
  readonly prefix: readonly string[];
  readonly member: Member;
}

async function startTandem({ name, patterns }: Entry, setting: TandemSetting): Promise<Contestant> {
  const pair = await Pair.start({
    upstreams: [setting.upstream], manifests: manifestsFor(setting, patterns), listen: [setting.listen], prefix: setting.prefix,
    roles: setting.member === 'agent' ? ['agent'] : ROLES,
  });
  // dns-proxy gets its policy from an agent; once it has it, it is measured alone.
  if (setting.member === 'dns-proxy') await pair.member('agent').stop();
  const measured = setting.member === 'pair' ? ROLES : [setting.member];
  return { name, pids: measured.map((role) => pair.member(role).pid), server: setting.listen, stop: () => pair.stop() };
}

function manifestsFor({ upstream, load }: Setting, patterns: number): Record<string, object> {
  const clients = podAddresses(load).map((address, index) => pod({ name: `client-${String(index)}`, labels: { app: 'a' }, addresses: [address] }));
  const dns = pod({ name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' }, addresses: [upstream.address], nodeName: 'node-2' });
  return {
    'namespaces.json': { apiVersion: 'v1', kind: 'List', items: [namespace('default'), namespace('kube-system')] },
    'pods.json': { apiVersion: 'v1', kind: 'List', items: [...clients, dns] },
    'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, allowedSuffixes(patterns).map((suffix) => `*.${suffix}`), [`*.${ALLOWED_SUFFIX}`]),
  };
}

/**
 * What the datapath needs of the kernel and its process, found out before anything depends on it: each feature is tried in a
 * transaction that makes a table with it and deletes it again, so that nothing is ever in force.
 */
import { readFile } from 'node:fs/promises';
import { AppError } from '@tandem/core';
import { PROBE_TABLE } from '../names.js';
import { applyNft } from '../nft.js';

/** Bit of CAP_NET_ADMIN (linux/capability.h). */
const CAP_NET_ADMIN = 12n;

interface Feature {
  readonly name: string;
  readonly remedy: string;
  readonly family: 'inet' | 'netdev' | 'bridge';
  readonly hook: string;
  readonly rules: readonly string[];
}

const BASE: readonly Feature[] = [
  {
    name: 'connection tracking, logging and reject of nftables', remedy: 'load nf_tables, nft_ct, nft_log, nft_reject_inet and nf_conntrack',
    family: 'inet', hook: 'forward priority filter', rules: ['ct state established accept', 'ct mark set 0x1', 'log group 1', 'reject'],
  },
  {
    name: 'notrack of nftables', remedy: 'load nft_ct',
    family: 'inet', hook: 'prerouting priority raw', rules: ['notrack'],
  },
];
const TPROXY: Readonly<Record<4 | 6, Feature>> = {
  4: {
    name: 'TPROXY of nftables for IPv4', remedy: 'load nft_tproxy and nf_tproxy_ipv4',
    family: 'inet', hook: 'prerouting priority mangle', rules: ['meta nfproto ipv4 meta l4proto udp tproxy ip to 127.0.0.1:53'],
  },
  6: {
    name: 'TPROXY of nftables for IPv6', remedy: 'load nft_tproxy and nf_tproxy_ipv6, or listen on IPv4 only',
    family: 'inet', hook: 'prerouting priority mangle', rules: ['meta nfproto ipv6 meta l4proto udp tproxy ip6 to [::1]:53'],
  },
};
const SOCKET: Feature = {
  name: 'the socket expression of nftables', remedy: 'load nft_socket, or do without --dnsproxy-enable-transparent-mode',
  family: 'inet', hook: 'prerouting priority mangle', rules: ['socket transparent 1'],
};
/** Only where pods are behind a bridge. */
const BRIDGED: readonly Feature[] = [
  {
    name: 'forwarding to a link by nftables at ingress', remedy: 'load nft_fwd_netdev and nf_dup_netdev',
    family: 'netdev', hook: 'ingress device "lo" priority filter', rules: ['meta mark set 0x0', 'ether daddr set 02:00:00:00:00:01', 'fwd to "lo"'],
  },
  { name: 'nftables for bridges', remedy: 'load nf_tables with its family bridge', family: 'bridge', hook: 'forward priority filter', rules: ['counter'] },
];

/** @throws AppError UNAVAILABLE naming the privilege or feature that is missing, and the remedy. */
export async function checkRequirements({ families, isTransparentUpstream }: { readonly families: readonly (4 | 6)[]; readonly isTransparentUpstream: boolean }): Promise<void> {
  await checkPrivilege();
  await checkFeatures([...BASE, ...families.map((family) => TPROXY[family]), ...(isTransparentUpstream ? [SOCKET] : [])]);
}

/** @throws AppError UNAVAILABLE. */
export async function checkBridgeRequirements(): Promise<void> {
  await checkFeatures(BRIDGED);
}

async function checkPrivilege(): Promise<void> {
  const status = await readFile('/proc/self/status', 'latin1');
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  if ((effective & (1n << CAP_NET_ADMIN)) !== 0n) return;
  throw new AppError('UNAVAILABLE', 'the datapath needs the capability CAP_NET_ADMIN: run as root, or give it (setcap cap_net_admin,cap_net_raw+ep, or securityContext.capabilities.add)');
}

/** All at once; each by itself only to find out which it is. */
async function checkFeatures(features: readonly Feature[]): Promise<void> {
  try {
    await applyNft(features.map(probeText).join(''));
    return;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    for (const feature of features) await checkFeature(feature);
    throw error;
  }
}

async function checkFeature(feature: Feature): Promise<void> {
  try {
    await applyNft(probeText(feature));
  } catch (error) {
    if (!(error instanceof AppError) || error.details.line === undefined) throw error;
    throw new AppError('UNAVAILABLE', `the kernel lacks ${feature.name}: ${feature.remedy}, or use a kernel that has it`, { cause: error });
  }
}

function probeText({ family, hook, rules }: Feature): string {
  const table = `${family} ${PROBE_TABLE}`;
  return [`table ${table} {`, 'chain probe {', `type filter hook ${hook}; policy accept;`, ...rules, '}', '}', `delete table ${table}`, ''].join('\n');
}

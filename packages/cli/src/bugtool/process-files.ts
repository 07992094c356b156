/** What the kernel shows of a process and of itself to anybody who may look, without root: texts under /proc and a few others. */
import { open, readdir, readFile, readlink } from 'node:fs/promises';
import { release, version } from 'node:os';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Step } from './archive.js';
import { redactJson, redactValue } from './redact.js';

const FILE_BYTES_MAX = 4 * 1024 * 1024;
const PROCESS_FILES = [
  'status', 'stat', 'limits', 'smaps_rollup', 'io', 'sched', 'cgroup', 'wchan', 'net/udp', 'net/udp6', 'net/tcp', 'net/tcp6', 'net/unix', 'net/snmp', 'net/netstat', 'net/sockstat',
] as const;
const KERNEL_FILES = [
  '/proc/version', '/proc/cmdline', '/proc/uptime', '/proc/loadavg', '/proc/meminfo', '/proc/pressure/cpu', '/proc/pressure/memory', '/proc/pressure/io', '/proc/net/softnet_stat',
  '/sys/fs/cgroup/cpu.stat', '/sys/fs/cgroup/memory.events', '/etc/os-release', '/etc/resolv.conf',
] as const;
const SYSCTLS = [
  'net/core/rmem_default', 'net/core/rmem_max', 'net/core/wmem_default', 'net/core/wmem_max', 'net/core/somaxconn', 'net/core/netdev_max_backlog', 'net/core/optmem_max',
  'net/ipv4/ip_local_port_range', 'net/ipv4/ip_local_reserved_ports', 'net/ipv4/ip_unprivileged_port_start', 'net/ipv4/ip_nonlocal_bind', 'net/ipv4/ip_forward', 'net/ipv4/udp_mem',
  'net/ipv4/udp_rmem_min', 'net/ipv4/tcp_mem', 'net/ipv4/tcp_rmem', 'net/ipv4/tcp_wmem', 'net/ipv4/tcp_max_syn_backlog', 'net/ipv4/conf/all/rp_filter', 'net/ipv4/conf/default/rp_filter',
  'net/ipv4/conf/all/src_valid_mark', 'net/ipv4/conf/all/route_localnet', 'net/ipv6/conf/all/disable_ipv6', 'net/ipv6/ip_nonlocal_bind', 'net/bridge/bridge-nf-call-iptables',
  'net/netfilter/nf_conntrack_max', 'net/netfilter/nf_conntrack_count', 'kernel/pid_max', 'kernel/threads-max', 'fs/file-nr', 'vm/overcommit_memory',
] as const;
/** Variables whose values help; of others only the name is told. */
const SHOWN_VARIABLE = /^(?:TANDEM_|NODE_|UV_|XDG_|KUBE|LANG$|LC_|TZ$|PATH$|HOME$|HOSTNAME$|INVOCATION_ID$)/;

/** Below `ROLE/proc/`. */
export function processSteps(role: string, pid: number): readonly Step[] {
  const at = (name: string): string => join('/proc', String(pid), name);
  return [
    ...PROCESS_FILES.map((name): Step => ({ path: `${role}/proc/${name}.txt`, collect: () => head(at(name)) })),
    { path: `${role}/proc/cmdline.txt`, collect: async () => `${(await head(at('cmdline'))).replaceAll('\0', '\n')}` },
    { path: `${role}/proc/environ.txt`, collect: async () => environment(await head(at('environ'))) },
    { path: `${role}/config.yaml`, collect: () => configOf(at) },
    { path: `${role}/proc/fd.txt`, collect: () => descriptors(at('fd')) },
    { path: `${role}/proc/threads.txt`, collect: () => threads(at('task')) },
  ];
}

export function kernelSteps(): readonly Step[] {
  return [
    { path: 'kernel/uname.txt', collect: () => `${release()}\n${version()}\n` },
    { path: 'kernel/sysctl.txt', collect: sysctls },
    ...KERNEL_FILES.map((path): Step => ({ path: `kernel/${path.slice(1).replaceAll('/', '_')}.txt`, collect: () => head(path).catch(nothingIfAbsent) })),
  ];
}

/** Not every kernel has each of them. */
function nothingIfAbsent(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}

async function sysctls(): Promise<string> {
  const lines = await Promise.all(SYSCTLS.map(async (name) => {
    const value = await readFile(join('/proc/sys', name), 'utf8').catch(() => null);
    return `${name.replaceAll('/', '.')} = ${value === null ? '(not there)' : value.trim().replaceAll('\t', ' ')}\n`;
  }));
  return lines.join('');
}

/** The first bytes; files of /proc have no size. */
async function head(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const pieces: Buffer[] = [];
    let bytes = 0;
    for (;;) {
      const piece = Buffer.alloc(64 * 1024);
      const { bytesRead } = await file.read(piece, 0, piece.length, null);
      if (bytesRead === 0 || bytes >= FILE_BYTES_MAX) return Buffer.concat(pieces).toString('utf8');
      pieces.push(piece.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

function environment(text: string): string {
  return text.split('\0').filter((line) => line.includes('=')).sort().map((line) => {
    const name = line.slice(0, line.indexOf('='));
    return SHOWN_VARIABLE.test(name) ? `${name}=${redactValue(name, line.slice(name.length + 1))}\n` : `${name} (not shown)\n`;
  }).join('');
}

/** The file that the daemon was told to read, by its structure: a secret may have many lines. Null: it was told none. */
async function configOf(at: (name: string) => string): Promise<string | null> {
  const words = (await head(at('cmdline'))).split('\0');
  const flag = words.findIndex((word) => word === '--config');
  const variable = (await head(at('environ'))).split('\0').find((line) => line.startsWith('TANDEM_CONFIG='));
  const path = words.find((word) => word.startsWith('--config='))?.slice('--config='.length) ?? (flag === -1 ? undefined : words[flag + 1]) ?? variable?.slice('TANDEM_CONFIG='.length);
  if (path === undefined || path === '') return null;
  return stringify(redactJson(parse(await head(resolve(await readlink(at('cwd')), path)))));
}

async function descriptors(folder: string): Promise<string> {
  const names = (await readdir(folder)).sort((a, b) => Number(a) - Number(b));
  const lines = await Promise.all(names.map(async (name) => `${name} -> ${await readlink(join(folder, name)).catch(() => '(gone)')}\n`));
  return lines.join('');
}

async function threads(folder: string): Promise<string> {
  const names = await readdir(folder);
  const lines = await Promise.all(names.map(async (name) => (await readFile(join(folder, name, 'stat'), 'utf8').catch(() => `${name} (gone)\n`))));
  return lines.join('');
}

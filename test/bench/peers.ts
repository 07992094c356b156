/**
 * The servers that Tandem is compared with, each forwarding the allowed suffixes and refusing all else, without a cache, on one
 * thread where it is pinned. Settings are the best that we know for each; what they are is said in docs/performance.md.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child, run } from '../harness/child.js';
import { UdpClient } from '../harness/clients.js';
import type { Server } from '../harness/clients.js';
import { nativeProgram } from '../harness/native.js';
import { formatServer } from '../harness/pair.js';
import { repositoryRoot } from '../harness/repository.js';
import { removeTemporary, temporaryFolder } from '../harness/temporary.js';
import { until } from '../harness/until.js';
import { buildQuery, TYPE } from '../harness/wire.js';
import type { Peer } from './cases.js';

export interface PeerSetting {
  readonly listen: Server;
  readonly upstream: Server;
  /** What starts it. */
  readonly prefix: readonly string[];
  /** Allowed; the last is asked for. */
  readonly suffixes: readonly string[];
  readonly clients: readonly string[];
}

type Started = Exclude<Peer, 'relay'>;

interface Program {
  readonly file: string;
  readonly content: string;
  command(path: string): readonly string[];
}

const READY_DEADLINE_MS = 15_000;
const ASK_DEADLINE_MS = 200;
const BUILD_DEADLINE_MS = 300_000;
/** Queries that one TCP connection may have open, to its client and to the upstream. */
const TCP_IN_FLIGHT_MAX = 1_000;

const programs: Record<Started, (setting: PeerSetting) => Program> = { dnsdist, unbound, dnsmasq, go };

/** Ready to answer. @throws Error saying what to install, or what the program said. */
export async function startPeer(peer: Started, setting: PeerSetting): Promise<{ child: Child; stop: () => Promise<void> }> {
  const folder = temporaryFolder(`tandem-bench-${peer}-`);
  const program = programs[peer](setting);
  const path = join(folder, program.file);
  writeFileSync(path, program.content);
  const [command, ...args] = [...setting.prefix, ...program.command(path)];
  const child = new Child(command, args);
  const stop = async (): Promise<void> => {
    await child.stop();
    removeTemporary(folder);
  };
  try {
    await answers(peer, child, setting);
    const widened = await run(nativeProgram('widen'), ['--pid', String(child.pid)], READY_DEADLINE_MS);
    if (widened.code !== 0) throw new Error(`receive buffers of ${peer} (root can make them large enough): ${widened.output.trim()}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { child, stop };
}

async function answers(peer: Started, child: Child, { listen, suffixes, clients }: PeerSetting): Promise<void> {
  const client = await UdpClient.open(clients[0], listen);
  try {
    let id = 0;
    await until(`${peer} answers at ${formatServer(listen)}`, READY_DEADLINE_MS, async () => {
      if (child.exit !== null) return child.exit;
      return client.ask(buildQuery({ name: `h0.${suffixes.at(-1)!}`, type: TYPE.A }, { id: ++id }), ASK_DEADLINE_MS);
    });
  } finally {
    client.close();
  }
  if (child.exit === null) return;
  const remedy = child.exit.code === 127 ? ': test/bench/install installs it' : `:\n${child.output}`;
  throw new Error(`${peer} did not start (exit code ${String(child.exit.code)})${remedy}`);
}

function dnsdist({ listen, upstream, suffixes, prefix }: PeerSetting): Program {
  const lines = [
    'setSecurityPollSuffix("")',
    `setLocal("${formatServer(listen)}", {maxInFlight=${String(TCP_IN_FLIGHT_MAX)}})`,
    'setACL({"127.0.0.0/8", "::1/128"})',
    `newServer{address="${formatServer(upstream)}", sockets=1, maxInFlight=${String(TCP_IN_FLIGHT_MAX)}}`,
    'getServer(0):setUp()',
    'setMaxUDPOutstanding(65535)',
    ...(prefix.length > 0 ? ['setMaxTCPClientThreads(1)'] : []),
    'allowed = newSuffixMatchNode()',
    ...suffixes.map((suffix) => `allowed:add(newDNSName("${suffix}."))`),
    'addAction(NotRule(SuffixMatchNodeRule(allowed)), RCodeAction(DNSRCode.REFUSED))',
  ];
  return { file: 'dnsdist.conf', content: `${lines.join('\n')}\n`, command: (path) => ['dnsdist', '--supervised', '--disable-syslog', '-C', path] };
}

function unbound({ listen, upstream, suffixes }: PeerSetting): Program {
  const at = ({ address, port }: Server): string => `${address}@${String(port)}`;
  const server = [
    `interface: ${at(listen)}`, 'access-control: 127.0.0.0/8 allow', 'access-control: ::1 allow', 'do-daemonize: no', 'use-syslog: no', 'username: ""', 'chroot: ""',
    'pidfile: ""', 'num-threads: 1', 'module-config: "iterator"', 'do-not-query-localhost: no', 'num-queries-per-thread: 4096', 'outgoing-range: 8192',
    'so-rcvbuf: 4m', 'incoming-num-tcp: 1024', 'outgoing-num-tcp: 64', 'local-zone: "." refuse', 'local-zone: "test." refuse',
    ...suffixes.map((suffix) => `local-zone: "${suffix}." transparent`),
  ];
  const forward = ['name: "."', `forward-addr: ${at(upstream)}`, 'forward-no-cache: yes'];
  const lines = ['server:', ...server.map((line) => `  ${line}`), 'forward-zone:', ...forward.map((line) => `  ${line}`), 'remote-control:', '  control-enable: no'];
  return { file: 'unbound.conf', content: `${lines.join('\n')}\n`, command: (path) => ['unbound', '-d', '-c', path] };
}

function dnsmasq({ listen, upstream, suffixes }: PeerSetting): Program {
  const lines = [
    `listen-address=${listen.address}`, `port=${String(listen.port)}`, 'bind-interfaces', 'no-resolv', 'no-hosts', 'user=root', 'pid-file=', 'cache-size=0', 'dns-forward-max=10000',
    ...suffixes.map((suffix) => `server=/${suffix}/${upstream.address}#${String(upstream.port)}`),
  ];
  return { file: 'dnsmasq.conf', content: `${lines.join('\n')}\n`, command: (path) => ['dnsmasq', '--keep-in-foreground', '--log-facility=-', `--conf-file=${path}`] };
}

function go({ listen, upstream, suffixes, clients }: PeerSetting): Program {
  const from = clients.flatMap((client) => ['--client', client]);
  return {
    file: 'patterns', content: suffixes.map((suffix) => `*.${suffix}\n`).join(''),
    command: (path) => [goForwarder(), '--listen', formatServer(listen), '--upstream', formatServer(upstream), '--patterns', path, ...from],
  };
}

/** test/bench/go, built against Debian's miekg/dns when its source is newer. */
function goForwarder(): string {
  const folder = join(repositoryRoot, 'test/bench/go');
  const built = join(repositoryRoot, 'test/dist/bench/go');
  const target = join(built, 'forwarder');
  if ((statSync(target, { throwIfNoEntry: false })?.mtimeMs ?? 0) >= statSync(join(folder, 'main.go')).mtimeMs) return target;
  mkdirSync(built, { recursive: true });
  const unfinished = `${target}.${String(process.pid)}`;
  try {
    execFileSync('go', ['build', '-o', unfinished, '.'], {
      cwd: folder, stdio: 'pipe', timeout: BUILD_DEADLINE_MS,
      env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(built, 'cache') },
    });
    renameSync(unfinished, target);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new Error(missing ? 'go is missing: test/bench/install installs it' : `building test/bench/go failed: ${String(error)}`, { cause: error });
  }
  return target;
}

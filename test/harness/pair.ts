/**
 * Both daemons as separate processes on loopback, with folders of their own, and the CLI for them. Black box: flags,
 * HTTP, files, signals; imports nothing from packages.
 */
import { readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { ownAddress, ownPort } from './address.js';
import { Child, run } from './child.js';
import type { Exit } from './child.js';
import type { Server } from './clients.js';
import { NODE_NAME } from './manifests.js';
import { repositoryRoot } from './repository.js';
import { removeTemporary, temporaryFolder } from './temporary.js';
import { until } from './until.js';

export type Role = 'agent' | 'dns-proxy';
export const ROLES: readonly Role[] = ['agent', 'dns-proxy'];

const READY_DEADLINE_MS = 20_000;
const HTTP_DEADLINE_MS = 5_000;
const CLI_DEADLINE_MS = 20_000;

export interface PairOptions {
  readonly upstreams: readonly Server[];
  /** File name → object, written as JSON, or text as it is. */
  readonly manifests: Readonly<Record<string, object | string>>;
  /** Flags that say where the agent's policy comes from: default its folder of manifests. */
  readonly source?: readonly string[];
  /** Default: an address and port of this process's own. */
  readonly listen?: readonly Server[];
  readonly roles?: readonly Role[];
  /** Further flags for both. */
  readonly flags?: readonly string[];
  /** What starts a daemon: default its launcher. */
  readonly prefix?: readonly string[];
  /** Set for both. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** How one start differs from the others of its pair. */
export interface Launch {
  readonly prefix?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The checkout whose daemon is started: default this one. */
  readonly root?: string;
  /** At the HTTP address of the one before. */
  readonly sameHttp?: boolean;
  /** At this HTTP address; the pair's requests still go to that of the one before. */
  readonly http?: Server;
}

/** The parts of `/api/v1/status` that tests look at. */
export interface Status {
  readonly role: Role;
  readonly pid: number;
  readonly readiness: { readonly ready: boolean; readonly reason: string };
  readonly policy: { readonly revision: number | null; readonly hash: string | null; readonly problems: readonly string[] };
  readonly peer: { readonly connected: boolean; readonly lag: number };
  readonly counters: Readonly<Record<string, number>>;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** Its Date header; empty without one. */
  readonly date: string;
}

export class Pair {
  readonly folder = temporaryFolder('tandem-test-');
  readonly runDir = join(this.folder, 'run');
  readonly manifestsDir = join(this.folder, 'manifests');
  readonly listen: readonly Server[];
  readonly members = new Map<Role, Child>();
  private readonly options: PairOptions;
  private readonly httpAddresses = new Map<Role, Server>();
  private isOver = false;

  private constructor(options: PairOptions) {
    this.options = options;
    this.listen = options.listen ?? [{ address: ownAddress, port: ownPort() }];
  }

  /** Started, ready, and in touch with each other. */
  static async start(options: PairOptions): Promise<Pair> {
    const pair = new Pair(options);
    await run('mkdir', ['-p', pair.manifestsDir], CLI_DEADLINE_MS);
    for (const [file, content] of Object.entries(options.manifests)) pair.writeManifest(file, content);
    try {
      const roles = options.roles ?? ROLES;
      for (const role of roles) pair.launch(role);
      await Promise.all(roles.map((role) => pair.ready(role)));
      if (roles.length === 2) await pair.inTouch();
    } catch (error) {
      const output = pair.output();
      await pair.stop();
      throw new Error(`the pair did not start:\n${output}`, { cause: error });
    }
    return pair;
  }

  /** The first shared address. */
  get server(): Server {
    return this.listen[0];
  }

  /** @throws Error once the pair was stopped: what was broken off may still go on for a while. */
  launch(role: Role, flags: readonly string[] = [], how: Launch = {}): Child {
    if (this.isOver) throw new Error(`${role} is started after the pair was stopped`);
    const http = how.http ?? (how.sameHttp === true ? this.httpAddresses.get(role) : undefined) ?? { address: ownAddress, port: ownPort() };
    const args = [
      ...this.listen.flatMap((one) => ['--listen', formatServer(one)]),
      ...this.options.upstreams.flatMap((one) => ['--upstream', formatServer(one)]),
      '--run-dir', this.runDir, '--state-dir', join(this.folder, role), '--http-listen', formatServer(http), '--node-name', NODE_NAME,
      ...(role === 'agent' && !flags.includes('--manifests') ? this.options.source ?? ['--manifests', this.manifestsDir] : []),
      ...(this.options.flags ?? []),
      ...flags,
    ];
    const [command, ...rest] = [...(how.prefix ?? this.options.prefix ?? []), launcherOf(role, how.root), ...args];
    const child = new Child(command, rest, { ...this.options.environment, ...how.environment });
    this.members.set(role, child);
    if (how.http === undefined) this.httpAddresses.set(role, http);
    return child;
  }

  /** Resolves once `/readyz` says 200. @throws Error if the daemon ends first or takes too long. */
  async ready(role: Role): Promise<void> {
    const child = this.member(role);
    await until(`${role} ready`, READY_DEADLINE_MS, async () => {
      if (child.exit !== null) return child.exit;
      return (await this.http(role, '/readyz')).status === 200 ? true : null;
    });
    if (child.exit !== null) throw new Error(`${role} ended with ${JSON.stringify(child.exit)} before it was ready`);
  }

  async inTouch(): Promise<void> {
    await until('both members connected, on one policy', READY_DEADLINE_MS, async () => {
      const [a, b] = await Promise.all(ROLES.map((role) => this.status(role)));
      return a.peer.connected && b.peer.connected && a.policy.hash === b.policy.hash && a.readiness.ready && b.readiness.ready ? true : null;
    });
  }

  member(role: Role): Child {
    const child = this.members.get(role);
    if (child === undefined) throw new Error(`${role} was not started`);
    return child;
  }

  /** Whether the running member is of this checkout, by its command line. */
  runsFrom(role: Role, root = repositoryRoot): boolean {
    const main = readFileSync(`/proc/${String(this.member(role).pid)}/cmdline`, 'utf8').split('\0').find((word) => word.endsWith('.js'));
    return main !== undefined && realpathSync(main).startsWith(join(realpathSync(root), 'packages/'));
  }

  /** Replaces the file at once, as editors and Kubernetes do. */
  writeManifest(file: string, content: object | string): void {
    const path = join(this.manifestsDir, file);
    writeFileSync(`${path}.new`, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
    renameSync(`${path}.new`, path);
  }

  /** `ADDR:PORT` of a member's API and status page. */
  httpAddress(role: Role): string {
    return formatServer(this.httpOf(role));
  }

  http(role: Role, path: string, method = 'GET'): Promise<HttpAnswer> {
    const at = this.httpOf(role);
    return new Promise((resolve, reject) => {
      const sent = request({ host: at.address, port: at.port, path, method, timeout: HTTP_DEADLINE_MS, agent: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8'), date: answer.headers.date ?? '' });
        });
      });
      sent.on('timeout', () => {
        sent.destroy(new Error(`${role} ${path}: no answer`));
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  private httpOf(role: Role): Server {
    const at = this.httpAddresses.get(role);
    if (at === undefined) throw new Error(`${role} was not started`);
    return at;
  }

  async status(role: Role): Promise<Status> {
    const { status, body } = await this.http(role, '/api/v1/status');
    if (status !== 200) throw new Error(`${role} status: HTTP ${String(status)} ${body}`);
    return JSON.parse(body) as Status;
  }

  /** A counter (without `_total`) or gauge of a member; NaN for one that it has not. */
  async metric(role: Role, name: string): Promise<number> {
    const { body } = await this.http(role, '/metrics');
    return Number(new RegExp(`^tandem_${name}(?:_total)?\\{[^}]*\\} (\\S+)$`, 'm').exec(body)?.[1] ?? NaN);
  }

  /** Each could answer for the other. */
  async redundant(): Promise<void> {
    for (const role of ROLES) {
      await until(`${role} to be redundant`, READY_DEADLINE_MS, async () => ((await this.metric(role, 'redundant')) === 1 ? true : null));
    }
  }

  /** One counter of both, the agent's first. */
  async counters(name: string): Promise<[number, number]> {
    const [a, b] = await Promise.all(ROLES.map((role) => this.status(role)));
    return [a.counters[name], b.counters[name]];
  }

  /** `tandem ARGS… --run-dir …`. */
  cli(...args: string[]): Promise<Exit & { output: string; standardOutput: string }> {
    return run(join(repositoryRoot, 'packages/cli/bin/tandem'), [...args, '--run-dir', this.runDir], CLI_DEADLINE_MS);
  }

  async cliJson<T>(...args: string[]): Promise<T> {
    const { code, output, standardOutput } = await this.cli(...args, '-o', 'json');
    if (code !== 0) throw new Error(`tandem ${args.join(' ')}: exit code ${String(code)}\n${output}`);
    return JSON.parse(standardOutput) as T;
  }

  /** What both have said, for a failed test. */
  output(): string {
    return [...this.members].map(([role, child]) => `--- ${role} ${child.exit === null ? '' : JSON.stringify(child.exit)}\n${child.output.slice(-8_000)}`).join('\n');
  }

  async stop(): Promise<Map<Role, Exit>> {
    this.isOver = true;
    const exits = await Promise.all([...this.members].map(async ([role, child]) => [role, await child.stop('SIGINT')] as const));
    removeTemporary(this.folder);
    return new Map(exits);
  }
}

export function peerOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

export function launcherOf(role: Role, root = repositoryRoot): string {
  return join(root, `packages/${role}/bin/tandem-${role}`);
}

export function formatServer(server: Server): string {
  return server.address.includes(':') ? `[${server.address}]:${String(server.port)}` : `${server.address}:${String(server.port)}`;
}

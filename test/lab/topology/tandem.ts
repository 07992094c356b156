/**
 * The pair on a node of the lab: both daemons in the node's namespace, spoken to over the sockets of their run-dir and by signals, as a user
 * would. What they say goes to files in the lab's folder; they outlive this process and end with the lab.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { run } from '../../harness/child.js';
import { launcherOf, ROLES } from '../../harness/pair.js';
import type { Role, Status } from '../../harness/pair.js';
import { repositoryRoot } from '../../harness/repository.js';
import { until } from '../../harness/until.js';
import type { Lab } from './lab.js';
import { nodeName } from './plan.js';
import type { NodeNumber } from './plan.js';

const READY_DEADLINE_MS = 30_000;
const HTTP_DEADLINE_MS = 5_000;
const CLI_DEADLINE_MS = 20_000;
const END_DEADLINE_MS = 20_000;
const OUTPUT_SHOWN = 6_000;
const HTTP_PORTS: Readonly<Record<Role, number>> = { agent: 9964, 'dns-proxy': 9965 };

export const TRANSPARENT: readonly string[] = ['--mode', 'transparent'];

export class Tandem {
  readonly node: NodeNumber;
  readonly runDir: string;
  private readonly lab: Lab;
  private readonly flags: readonly string[];
  private readonly source: readonly string[];

  /** `source`: where the agent's policy comes from, default the node's folder of manifests. */
  constructor(lab: Lab, node: NodeNumber, flags: readonly string[] = TRANSPARENT, source: readonly string[] = ['--manifests', lab.manifestsDir(node)]) {
    this.lab = lab;
    this.node = node;
    this.flags = flags;
    this.source = source;
    this.runDir = join(lab.folderOf(`node${String(node)}`), 'run');
  }

  /** Both, ready and in touch. */
  static async start(lab: Lab, node: NodeNumber, flags?: readonly string[], source?: readonly string[]): Promise<Tandem> {
    const tandem = new Tandem(lab, node, flags, source);
    for (const role of ROLES) tandem.launch(role);
    try {
      await Promise.all(ROLES.map((role) => tandem.ready(role)));
      await tandem.inTouch();
    } catch (error) {
      throw new Error(`the pair on ${nodeName(node)} did not start:\n${tandem.output()}`, { cause: error });
    }
    return tandem;
  }

  /** Starts it and returns; its process ends with the node's namespace. */
  launch(role: Role, flags: readonly string[] = []): ChildProcess {
    const folder = this.lab.folderOf(`node${String(this.node)}`);
    mkdirSync(folder, { recursive: true });
    const log = openSync(join(folder, `${role}.log`), 'a');
    try {
      const child = spawn('env', [
        '-u', 'NODE_OPTIONS', 'ip', 'netns', 'exec', this.lab.node(this.node), launcherOf(role), ...this.flags,
        '--run-dir', this.runDir, '--state-dir', join(folder, 'state'), '--http-listen', `127.0.0.1:${String(HTTP_PORTS[role])}`, '--node-name', nodeName(this.node),
        ...(role === 'agent' ? this.source : []), ...flags,
      ], { stdio: ['ignore', log, log], detached: true });
      child.unref();
      return child;
    } finally {
      closeSync(log);
    }
  }

  /** GET over the member's Unix socket. @throws Error if nobody answers. */
  http(role: Role, path: string): Promise<{ readonly status: number; readonly body: string }> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: join(this.runDir, `${role}.sock`), path, timeout: HTTP_DEADLINE_MS, agent: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
        });
      });
      sent.on('timeout', () => sent.destroy(new Error(`${role} ${path}: no answer`)));
      sent.on('error', reject);
      sent.end();
    });
  }

  async ready(role: Role): Promise<void> {
    await until(`${role} on ${nodeName(this.node)} ready`, READY_DEADLINE_MS, async () => ((await this.http(role, '/readyz')).status === 200 ? true : null));
  }

  async status(role: Role): Promise<Status> {
    const { status, body } = await this.http(role, '/api/v1/status');
    if (status !== 200) throw new Error(`${role} status: HTTP ${String(status)} ${body}`);
    return JSON.parse(body) as Status;
  }

  async inTouch(): Promise<void> {
    await until('both members connected, on one policy', READY_DEADLINE_MS, async () => {
      const [a, b] = await Promise.all(ROLES.map((role) => this.status(role)));
      return a.peer.connected && b.peer.connected && a.policy.hash === b.policy.hash ? true : null;
    });
  }

  async metric(role: Role, name: string): Promise<number> {
    const { body } = await this.http(role, '/metrics');
    return Number(new RegExp(`^tandem_${name}(?:_total)?\\{[^}]*\\} (\\S+)$`, 'm').exec(body)?.[1] ?? NaN);
  }

  async redundant(): Promise<void> {
    for (const role of ROLES) {
      await until(`${role} to be redundant`, READY_DEADLINE_MS, async () => ((await this.metric(role, 'redundant')) === 1 ? true : null));
    }
  }

  /** Once both members enforce a policy other than that of this revision. */
  async enforced(before: number | null): Promise<void> {
    await until('both members to enforce the new policy', READY_DEADLINE_MS, async () => {
      const [a, b] = await Promise.all(ROLES.map((role) => this.status(role)));
      return a.policy.revision !== before && a.policy.hash === b.policy.hash ? true : null;
    });
  }

  async revision(role: Role = 'agent'): Promise<number | null> {
    return (await this.status(role)).policy.revision;
  }

  async pid(role: Role): Promise<number> {
    return (await this.status(role)).pid;
  }

  /** `tandem ARGS… --run-dir …`. */
  cli(...args: string[]): Promise<{ readonly code: number | null; readonly output: string; readonly standardOutput: string }> {
    return run(join(repositoryRoot, 'packages/cli/bin/tandem'), [...args, '--run-dir', this.runDir], CLI_DEADLINE_MS);
  }

  async cliJson<T>(...args: string[]): Promise<T> {
    const { code, output, standardOutput } = await this.cli(...args, '-o', 'json');
    if (code !== 0) throw new Error(`tandem ${args.join(' ')}: exit code ${String(code)}\n${output}`);
    return JSON.parse(standardOutput) as T;
  }

  /** One signal to the process of a member. */
  async kill(role: Role, signal: NodeJS.Signals): Promise<void> {
    process.kill(await this.pid(role), signal);
  }

  /** In order: SIGINT to both, which waits for nobody, until their processes are gone. */
  async stop(): Promise<void> {
    await Promise.all(ROLES.map((role) => this.end(role, 'SIGINT')));
  }

  /** Sends the signal and waits for the end of the process. */
  async end(role: Role, signal: NodeJS.Signals): Promise<void> {
    const pid = await this.pid(role);
    process.kill(pid, signal);
    await until(`the end of ${role} after ${signal}`, END_DEADLINE_MS, () => (isRunning(pid) ? null : true));
  }

  /** The end of what both have said. */
  output(): string {
    return ROLES.map((role) => {
      const path = join(this.lab.folderOf(`node${String(this.node)}`), `${role}.log`);
      return `--- ${role}\n${existsSync(path) ? readFileSync(path, 'utf8').slice(-OUTPUT_SHOWN) : '(not started)'}`;
    }).join('\n');
  }
}

/** One that has ended and was not waited for counts as gone. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${String(pid)}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

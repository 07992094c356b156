/** Load from a pod's namespace by the drills' own programs: each query is asked once and never again. Judged by the slow DNS server, which answers after a while. */
import { join } from 'node:path';
import type { Child } from '../../harness/child.js';
import { compiled } from '../../harness/native.js';
import { formatServer } from '../../harness/pair.js';
import { repositoryRoot } from '../../harness/repository.js';
import { until } from '../../harness/until.js';
import type { Lab } from './lab.js';
import { DNS_PORT, DNS_TARGET_PORT, SLOW_DNS, SLOW_DNS_POD } from './plan.js';

const START_DEADLINE_MS = 10_000;
const SERVER_DELAY_MS = 5;

/** What the load program prints at its end. */
export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  readonly twice: number;
  readonly wrong: number;
  readonly failed: number;
  readonly refused: number;
  readonly worstUs: number;
  readonly p99Us: number;
  readonly lostShown: readonly object[];
}

export interface LoadPlan {
  readonly rate: number;
  readonly seconds: number;
  readonly protocol?: 'udp' | 'tcp';
  readonly names?: number;
}

function program(name: 'udp-load' | 'tcp-load' | 'upstream'): string {
  return compiled(join(repositoryRoot, `chaos/native/${name}.cc`), join(repositoryRoot, `chaos/dist/native/${name}`));
}

/** Path of the load program for a protocol; see its source for its options. */
export function loadProgram(protocol: 'udp' | 'tcp'): string {
  return program(`${protocol}-load`);
}

/** The server behind the Service slow-dns, of the lab's family; ends with this process or the lab. */
export async function startSlowServer(lab: Lab): Promise<Child> {
  const child = lab.spawn(SLOW_DNS_POD, [program('upstream'), '--listen', formatServer({ address: lab.addressOf(SLOW_DNS_POD), port: DNS_TARGET_PORT }), '--delay-ms', String(SERVER_DELAY_MS)]);
  await until('the slow DNS server', START_DEADLINE_MS, () => {
    if (child.exit !== null) throw new Error(`the slow DNS server ended: ${child.output}`);
    return /^ready /m.exec(child.standardOutput);
  });
  return child;
}

export class Load {
  private readonly child: Child;

  private constructor(child: Child) {
    this.child = child;
  }

  /** Resolves once the first query is about to be sent, through the Service's address. */
  static async start(lab: Lab, pod: string, { rate, seconds, protocol = 'udp', names = 500 }: LoadPlan): Promise<Load> {
    const args = {
      server: formatServer({ address: lab.address(SLOW_DNS.address), port: DNS_PORT }), bind: lab.addressOf(pod), rate, seconds, names, ...(protocol === 'udp' ? { clients: 200 } : {}),
    };
    const child = lab.spawn(pod, [loadProgram(protocol), ...Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)])]);
    await until('the load to start', START_DEADLINE_MS, () => {
      if (child.exit !== null) throw new Error(`the load ended: ${child.output}`);
      return /^started (\d+)$/m.exec(child.standardOutput);
    });
    return new Load(child);
  }

  /** Answered so far, at most a fifth of a second ago. */
  get answered(): number {
    return Number(/.*^progress \d+ (\d+) \d+$/ms.exec(this.child.standardOutput)?.[1] ?? 0);
  }

  /** Once so many more have been answered. */
  async flowing(count = 500): Promise<void> {
    const before = this.answered;
    await until('answers to the load', START_DEADLINE_MS, () => (this.answered > before + count ? true : null));
  }

  /** Sends nothing more, waits for what is under way. */
  async stop(): Promise<LoadResult> {
    this.child.process.kill('SIGTERM');
    const { code } = await this.child.exited;
    if (code !== 0) throw new Error(`the load ended with ${String(code)}: ${this.child.output.slice(-2_000)}`);
    return JSON.parse(this.child.standardOutput.trimEnd().split('\n').at(-1) ?? '') as LoadResult;
  }
}

/** Everything was answered once, and rightly. */
export function isClean({ sent, answered, lost, wrong, failed, refused }: LoadResult): boolean {
  return sent > 0 && answered === sent && lost + wrong + failed + refused === 0;
}

export function shown(result: LoadResult): string {
  const { sent, answered, lost, twice, wrong, failed, refused, worstUs, lostShown } = result;
  return JSON.stringify({ sent, answered, lost, twice, wrong, failed, refused, worstMs: Math.round(worstUs / 1_000), lostShown: lostShown.slice(0, 3) });
}

/**
 * The load of a drill: a native program that asks at a fixed rate and never again, read while it runs and at its end.
 * See native/load.h for what it prints.
 */
import { Child } from '#harness/child.js';
import { until } from '#harness/until.js';
import type { Protocol } from './drill.js';
import { nativeTool } from './native.js';

/** As the load program prints it, in JSON. Latencies in microseconds. */
export interface LoadResult {
  readonly sent: number;
  readonly answered: number;
  readonly lost: number;
  readonly twice: number;
  readonly wrong: number;
  readonly failed: number;
  readonly refused: number;
  /** Answers that came after the five seconds. */
  readonly late: number;
  /** Datagrams that answer nothing that was asked. */
  readonly unexpected: number;
  /** TCP connections that were reset. */
  readonly resets: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly worstUs: number;
  /** Monotonic clock, nanoseconds, decimal. */
  readonly startNs: string;
  readonly binMs: number;
  readonly lostShown: readonly { readonly atMs: number; readonly port: number; readonly name: string; readonly why: string }[];
  /** Each [sent, answered, failed, lost, worstUs, sumUs]; answers by arrival, the rest by when the query was sent. */
  readonly bins: readonly (readonly [number, number, number, number, number, number])[];
}

export interface LoadPlan {
  readonly protocol: Protocol;
  readonly server: string;
  readonly bind: string;
  readonly rate: number;
  readonly seconds: number;
  readonly names: number;
  /** First part of each name: default h. */
  readonly prefix?: string;
  readonly seed: number;
}

const START_DEADLINE_MS = 30_000;
export const ANSWER_TIMEOUT_MS = 5_000;
/** For printing. */
const END_MARGIN_MS = 10_000;

export class Load {
  private readonly child: Child;

  private constructor(child: Child) {
    this.child = child;
  }

  /** Resolves once the first query is about to be sent. */
  static async start(plan: LoadPlan): Promise<Load> {
    const args = {
      server: plan.server, bind: plan.bind, rate: plan.rate, seconds: plan.seconds, names: plan.names, seed: plan.seed, prefix: plan.prefix ?? 'h', 'timeout-ms': ANSWER_TIMEOUT_MS,
      ...(plan.protocol === 'udp' ? { clients: 200 } : {}),
    };
    const child = new Child(nativeTool(plan.protocol === 'udp' ? 'udp-load' : 'tcp-load'), Object.entries(args).flatMap(([name, value]) => [`--${name}`, String(value)]));
    await until('the load to start', START_DEADLINE_MS, () => {
      if (child.exit !== null) throw new Error(`the load ended: ${child.output}`);
      return /^started (\d+)$/m.exec(child.standardOutput);
    });
    return new Load(child);
  }

  /** So far, at most a fifth of a second ago. */
  get progress(): { readonly sent: number; readonly answered: number; readonly lost: number } {
    const last = /.*^progress (\d+) (\d+) (\d+)$/ms.exec(this.child.standardOutput);
    return { sent: Number(last?.[1] ?? 0), answered: Number(last?.[2] ?? 0), lost: Number(last?.[3] ?? 0) };
  }

  get hasEnded(): boolean {
    return this.child.exit !== null;
  }

  /** Lets it come to its end. */
  async finished(): Promise<LoadResult> {
    const { code } = await this.child.exited;
    if (code !== 0) throw new Error(`the load ended with ${String(code)}: ${this.child.output.slice(-2_000)}`);
    return JSON.parse(this.child.standardOutput.trimEnd().split('\n').at(-1) ?? '') as LoadResult;
  }

  /** Sends nothing more, waits for what is under way. */
  async stop(): Promise<LoadResult> {
    this.child.process.kill('SIGTERM');
    const timer = setTimeout(() => this.child.process.kill('SIGKILL'), ANSWER_TIMEOUT_MS + END_MARGIN_MS);
    try {
      return await this.finished();
    } finally {
      clearTimeout(timer);
    }
  }

  kill(): void {
    this.child.process.kill('SIGKILL');
  }
}

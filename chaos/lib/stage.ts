/**
 * Where a drill plays: a pair under load, its upstream, what can be done to them, and the record of what was done.
 *
 * Invariant: every fault is marked in time, and that it really happened is proven here or by the drill; a run without
 * proofs fails.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Exit } from '#harness/child.js';
import { CLIENT_A } from '#harness/manifests.js';
import { formatServer, ROLES } from '#harness/pair.js';
import type { Launch, Pair, Role } from '#harness/pair.js';
import { until, within } from '#harness/until.js';
import type { Protocol, RunOptions } from './drill.js';
import { Load } from './load.js';
import { stopped, stopThread } from './processes.js';
import type { Upstream } from './upstream.js';

export interface Mark {
  /** Monotonic clock, nanoseconds. */
  readonly atNs: bigint;
  readonly kind: 'fault' | 'heal';
  readonly text: string;
  /** A member stands still from here to the next `heal`: latencies in between are the fault's own. */
  readonly isHang: boolean;
}

export interface Proof {
  readonly what: string;
  readonly holds: boolean;
  readonly detail: string;
}

export interface StageParts {
  readonly protocol: Protocol;
  readonly pair: Pair;
  readonly upstream: Upstream;
  readonly options: RunOptions;
  /** As the drill's own `launch` said. */
  readonly launches: Partial<Record<Role, Launch>>;
}

const CONVERGE_DEADLINE_MS = 20_000;
const EXIT_DEADLINE_MS = 15_000;
/** Before and after a fault, so that its effect can be told from the rest. */
const CALM_MS = 400;
const FRESH_MARGIN = 1.1;

export function peerOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

export class Stage {
  readonly pair: Pair;
  readonly upstream: Upstream;
  readonly options: RunOptions;
  readonly marks: Mark[] = [];
  readonly proofs: Proof[] = [];
  private readonly protocol: Protocol;
  private readonly launches: Partial<Record<Role, Launch>>;
  private faultNs: bigint | null = null;
  private longestMs = 0;
  private randomState: number;
  private takenCount: number | null = null;

  constructor({ pair, upstream, options, launches, protocol }: StageParts) {
    this.protocol = protocol;
    this.pair = pair;
    this.upstream = upstream;
    this.options = options;
    this.launches = launches;
    this.randomState = options.seed;
  }

  /** Longest time from a fault to redundancy. */
  get convergeMs(): number {
    return this.longestMs;
  }

  /** From 0 to below 1, the same again for the same seed (mulberry32). */
  random(): number {
    this.randomState = (this.randomState + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.randomState ^ (this.randomState >>> 15), 1 | this.randomState);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  fault(text: string, isHang = false): void {
    this.faultNs = process.hrtime.bigint();
    this.marks.push({ atNs: this.faultNs, kind: 'fault', text, isHang });
  }

  heal(text: string): void {
    this.marks.push({ atNs: process.hrtime.bigint(), kind: 'heal', text, isHang: false });
  }

  prove(what: string, holds: boolean, detail = ''): void {
    this.proofs.push({ what, holds, detail });
  }

  calm(ms = CALM_MS): Promise<void> {
    return pause(ms);
  }

  /** A counter (without `_total`) or gauge of a member. */
  metric(role: Role, name: string): Promise<number> {
    return this.pair.metric(role, name);
  }

  /** Asks for names that nobody has asked for yet, `prefix`0.bench.test and so on, of both members; all must be answered. */
  async askFresh(prefix: string, names: number): Promise<void> {
    const seconds = 1;
    // A and AAAA of each, and a little more, which begins anew.
    const rate = Math.ceil(FRESH_MARGIN * 2 * names / seconds);
    const load = await Load.start({
      protocol: 'udp', server: formatServer(this.pair.server), bind: CLIENT_A, rate, seconds, names, prefix, seed: this.options.seed,
    });
    const { sent, answered, failed, refused, wrong } = await load.finished();
    this.prove('all fresh names were answered', sent > 0 && answered === sent && failed + refused + wrong === 0, JSON.stringify({ sent, answered, failed, refused, wrong }));
  }

  /** Both alive, each holding the other, in touch, on one policy. */
  async redundant(): Promise<void> {
    await until('both members redundant and in touch', CONVERGE_DEADLINE_MS, async () => {
      for (const role of ROLES) {
        if (await this.metric(role, 'redundant') !== 1 || await this.metric(role, 'adopted') !== 0) return null;
      }
      return true;
    });
    await this.pair.inTouch();
    if (this.faultNs === null) return;
    this.longestMs = Math.max(this.longestMs, Number(process.hrtime.bigint() - this.faultNs) / 1e6);
    this.faultNs = null;
  }

  /** Both have answered something since now. */
  async bothAnswer(): Promise<void> {
    const before = await this.pair.counters('answered');
    await until('both members to answer', CONVERGE_DEADLINE_MS, async () => {
      const now = await this.pair.counters('answered');
      return now.every((count, index) => count > before[index] + 10) ? true : null;
    });
  }

  async ended(role: Role): Promise<Exit> {
    return within(`end of ${role}`, EXIT_DEADLINE_MS, this.pair.member(role).exited);
  }

  /** SIGKILL; proven by how it ended. */
  async kill(role: Role): Promise<void> {
    const child = this.pair.member(role);
    this.fault(`kill ${role}`);
    child.process.kill('SIGKILL');
    this.proveKilled(role, await this.ended(role));
  }

  proveKilled(role: Role, exit: Exit): void {
    this.prove(`${role} was killed`, exit.signal === 'SIGKILL', JSON.stringify(exit));
  }

  /** Proves that the peer of `role` answers for it while `act` runs and a little after, and counts what it takes over. */
  async answeredFor(role: Role, act: () => Promise<void>): Promise<void> {
    const peer = peerOf(role);
    const counter = this.protocol === 'udp' ? 'taken' : 'connections_taken';
    // On a busy machine the peer may answer for it already: one that was late looks as if it hung.
    const before = { taken: await this.metric(peer, counter), takeovers: await this.metric(peer, 'takeovers') - await this.metric(peer, 'adopted') };
    await act();
    const takeovers = await this.metric(peer, 'takeovers') - before.takeovers;
    this.prove(`${peer} answered for ${role}`, takeovers > 0, `${String(takeovers)} takeovers`);
    this.takenCount = (this.takenCount ?? 0) + await this.metric(peer, counter) - before.taken;
  }

  /** Queries, or TCP connections, that were taken over so far; null: nothing was there that should have been. */
  get taken(): number | null {
    // Without a delay of the upstream there may be nothing under way; in the control run nothing is taken.
    return this.options.isControl || this.options.upstreamDelayMs === 0 ? null : this.takenCount;
  }

  /** At the end: of all faults at least one has met work under way. */
  proveTaken(): void {
    if (this.taken !== null) this.prove(`${this.protocol === 'udp' ? 'queries' : 'connections'} were taken over`, this.taken > 0, `${String(this.taken)} taken`);
  }

  /** Starts the member again, as it was started first unless told otherwise. */
  async launch(role: Role, how: Launch = this.launches[role] ?? {}): Promise<void> {
    this.pair.launch(role, [], how);
    await this.pair.ready(role);
    this.heal(`${role} ready`);
  }

  /** Stops the data plane's thread, and with it the process, for so long. */
  async hang(role: Role, ms: number): Promise<void> {
    const { pid } = this.pair.member(role);
    this.fault(`stop ${role} for ${String(ms)} ms`, true);
    await stopThread(pid);
    await pause(ms);
    this.resume(role);
  }

  /** Waits until the member stands by itself, lets it stand for so long, and goes on. */
  async resumeAfter(role: Role, ms: number, what: string): Promise<void> {
    const { pid } = this.pair.member(role);
    await stopped(pid, CONVERGE_DEADLINE_MS);
    this.fault(what, true);
    await pause(ms);
    this.resume(role);
  }

  resume(role: Role): void {
    this.pair.member(role).process.kill('SIGCONT');
    this.heal(`${role} goes on`);
  }

  /** SIGTERM; proven by exit code 0. */
  async drain(role: Role): Promise<void> {
    this.fault(`SIGTERM to ${role}`);
    this.pair.member(role).process.kill('SIGTERM');
    const exit = await this.ended(role);
    this.prove(`${role} drained and ended`, exit.code === 0, JSON.stringify(exit));
  }
}

/**
 * Where an experiment plays: the cluster, what can be done to it, and the record of what was done.
 *
 * Invariant: every fault is marked in time, and that it really happened is proven; a run without proofs fails. Once a stage's signal has come
 * nothing more is done by it, and whoever waits for it learns so at once.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { until } from '#harness/until.js';
import type { Mark, Proof } from '../../lib/stage.js';
import { Probe } from './probe.js';
import type { ProbeResult } from './probe.js';
import { isReady, Target } from './target.js';
import type { PodView } from './target.js';

const ROLLOUT_SECONDS = 120;
const SOON_MS = 60_000;
/** Names asked at once to see whether new ones work. */
const FRESH_NAMES = 50;
const FRESH_RATE = 200;
const FRESH_SECONDS = 10;

/** Of all stages of a run. */
interface Past {
  readonly marks: Mark[];
  readonly proofs: Proof[];
  faultNs: bigint | null;
  longestMs: number;
  nextFresh: number;
}

export class Stage {
  readonly target: Target;
  /** As they were found. */
  readonly images: Readonly<Record<Role, string>>;
  private readonly past: Past;
  private readonly signal: AbortSignal | undefined;

  private constructor({ target, images, past, signal }: { target: Target; images: Readonly<Record<Role, string>>; past: Past; signal?: AbortSignal }) {
    this.target = target;
    this.images = images;
    this.past = past;
    this.signal = signal;
  }

  static async open(target: Target): Promise<Stage> {
    const images = { agent: await target.image('agent'), 'dns-proxy': await target.image('dns-proxy') };
    return new Stage({ target, images, past: { marks: [], proofs: [], faultNs: null, longestMs: 0, nextFresh: 0 } });
  }

  /** The same, with the same past, until the signal. */
  until(signal: AbortSignal): Stage {
    const { target, images, past } = this;
    return new Stage({ target: new Target(target.options, signal), images, past, signal });
  }

  get marks(): readonly Mark[] {
    return this.past.marks;
  }

  get proofs(): readonly Proof[] {
    return this.past.proofs;
  }

  /** Longest time from a fault until all pods are ready again. */
  get convergeMs(): number {
    return this.past.longestMs;
  }

  fault(text: string): void {
    const atNs = process.hrtime.bigint();
    this.past.faultNs = atNs;
    this.past.marks.push({ atNs, kind: 'fault', text, isHang: false });
  }

  heal(text: string): void {
    this.past.marks.push({ atNs: process.hrtime.bigint(), kind: 'heal', text, isHang: false });
  }

  prove(what: string, holds: boolean, detail = ''): void {
    this.past.proofs.push({ what, holds, detail });
  }

  calm(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.signal });
  }

  /** Both DaemonSets are rolled out. */
  async whole(): Promise<void> {
    for (const role of ROLES) await this.target.rolledOut(role, ROLLOUT_SECONDS);
    const { past } = this;
    if (past.faultNs === null) return;
    past.longestMs = Math.max(past.longestMs, Number(process.hrtime.bigint() - past.faultNs) / 1e6);
    past.faultNs = null;
    this.heal('rolled out');
  }

  async deletePods(role: Role): Promise<void> {
    await this.target.kubectl('delete', 'pods', '-n', this.target.options.namespace, '-l', `app.kubernetes.io/name=tandem-${role}`, '--wait=false');
  }

  /** The pods of the role once they are as wanted. */
  async podsSoon(role: Role, what: string, isSo: (pods: readonly PodView[]) => boolean): Promise<readonly PodView[]> {
    const found = await until(`${role}: ${what}`, SOON_MS, async () => {
      if (this.signal?.aborted === true) return [];
      const pods = await this.target.pods(role);
      return isSo(pods) ? pods : null;
    });
    this.signal?.throwIfAborted();
    return found;
  }

  noneReady(role: Role): Promise<readonly PodView[]> {
    return this.podsSoon(role, 'none ready', (pods) => pods.every((pod) => !isReady(pod)));
  }

  /** Names that nobody has asked for are answered, one of them can be connected to, and what is denied is not. */
  async goesOn(when: string): Promise<void> {
    const { probe, names } = this.target.options;
    const from = this.past.nextFresh;
    this.past.nextFresh += FRESH_NAMES;
    if (this.past.nextFresh > names.fresh.count) throw new Error(`more than ${String(names.fresh.count)} fresh names are needed`);
    const fresh = Array.from({ length: FRESH_NAMES }, (_, index) => this.target.freshName(from + index));
    const result = await this.finished(await Probe.start({ command: probe, names: fresh, rate: FRESH_RATE, seconds: FRESH_SECONDS, isOnce: true }));
    this.prove(`new names are answered ${when}`, result.answered === FRESH_NAMES && result.codes.NOERROR === FRESH_NAMES, JSON.stringify(result));
    this.prove(`a new address is connected to ${when}`, await this.target.connects(fresh[0]), fresh[0]);
    this.prove(`a denied name is not connected to ${when}`, !(await this.target.connects(names.denied[0])), names.denied[0]);
  }

  private async finished(probe: Probe): Promise<ProbeResult> {
    const stop = (): void => {
      probe.stop().catch(() => { probe.kill(); });
    };
    if (this.signal?.aborted === true) stop();
    this.signal?.addEventListener('abort', stop, { once: true });
    try {
      return await probe.finished();
    } finally {
      this.signal?.removeEventListener('abort', stop);
      this.signal?.throwIfAborted();
    }
  }
}

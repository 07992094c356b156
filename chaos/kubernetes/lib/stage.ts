/**
 * Where an experiment plays: the cluster, what can be done to it, and the record of what was done.
 *
 * Invariant: every fault is marked in time, and that it really happened is proven; a run without proofs fails.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { until } from '#harness/until.js';
import type { Mark, Proof } from '../../lib/stage.js';
import { Probe } from './probe.js';
import { isReady } from './target.js';
import type { PodView, Target } from './target.js';

const ROLLOUT_SECONDS = 120;
const SOON_MS = 60_000;
/** Names asked at once to see whether new ones work. */
const FRESH_NAMES = 50;
const FRESH_RATE = 200;
const FRESH_SECONDS = 10;

export class Stage {
  readonly target: Target;
  readonly marks: Mark[] = [];
  readonly proofs: Proof[] = [];
  /** As they were found. */
  readonly images: Readonly<Record<Role, string>>;
  #faultNs: bigint | null = null;
  #convergeMs = 0;
  #nextFresh = 0;

  private constructor(target: Target, images: Readonly<Record<Role, string>>) {
    this.target = target;
    this.images = images;
  }

  static async open(target: Target): Promise<Stage> {
    return new Stage(target, { agent: await target.image('agent'), 'dns-proxy': await target.image('dns-proxy') });
  }

  /** Longest time from a fault until all pods are ready again. */
  get convergeMs(): number {
    return this.#convergeMs;
  }

  fault(text: string): void {
    this.#faultNs = process.hrtime.bigint();
    this.marks.push({ atNs: this.#faultNs, kind: 'fault', text, isHang: false });
  }

  heal(text: string): void {
    this.marks.push({ atNs: process.hrtime.bigint(), kind: 'heal', text, isHang: false });
  }

  prove(what: string, holds: boolean, detail = ''): void {
    this.proofs.push({ what, holds, detail });
  }

  calm(ms: number): Promise<void> {
    return pause(ms);
  }

  /** Both DaemonSets are rolled out. */
  async whole(): Promise<void> {
    for (const role of ROLES) await this.target.rolledOut(role, ROLLOUT_SECONDS);
    if (this.#faultNs === null) return;
    this.#convergeMs = Math.max(this.#convergeMs, Number(process.hrtime.bigint() - this.#faultNs) / 1e6);
    this.#faultNs = null;
    this.heal('rolled out');
  }

  async deletePods(role: Role): Promise<void> {
    await this.target.kubectl('delete', 'pods', '-n', this.target.options.namespace, '-l', `app.kubernetes.io/name=tandem-${role}`, '--wait=false');
  }

  /** The pods of the role once they are as wanted. */
  podsSoon(role: Role, what: string, isSo: (pods: readonly PodView[]) => boolean): Promise<readonly PodView[]> {
    return until(`${role}: ${what}`, SOON_MS, async () => {
      const pods = await this.target.pods(role);
      return isSo(pods) ? pods : null;
    });
  }

  noneReady(role: Role): Promise<readonly PodView[]> {
    return this.podsSoon(role, 'none ready', (pods) => pods.every((pod) => !isReady(pod)));
  }

  /** Names that nobody has asked for are answered, one of them can be connected to, and what is denied is not. */
  async goesOn(when: string): Promise<void> {
    const { probe, names } = this.target.options;
    const from = this.#nextFresh;
    this.#nextFresh += FRESH_NAMES;
    if (this.#nextFresh > names.fresh.count) throw new Error(`more than ${String(names.fresh.count)} fresh names are needed`);
    const fresh = Array.from({ length: FRESH_NAMES }, (_, index) => this.target.freshName(from + index));
    const result = await (await Probe.start({ command: probe, names: fresh, rate: FRESH_RATE, seconds: FRESH_SECONDS, isOnce: true })).finished();
    this.prove(`new names are answered ${when}`, result.answered === FRESH_NAMES && result.codes.NOERROR === FRESH_NAMES, JSON.stringify(result));
    this.prove(`a new address is connected to ${when}`, await this.target.connects(fresh[0]), fresh[0]);
    this.prove(`a denied name is not connected to ${when}`, !(await this.target.connects(names.denied[0])), names.denied[0]);
  }
}

/**
 * What brings pods' DNS to the proxy's sockets, beside the tables: routing rules, and for bridged pods the pair of links. Kept in order
 * by the member that leads, looked at by both.
 *
 * Invariant: what cannot be had is a problem that is shown, and tried again; what is missing closes DNS, it never opens it. Nothing
 * is taken away at the end: with both members gone, DNS of enforced pods stays closed.
 */
import { AppError, type Log } from '@tandem/core';
import type { LinkWatch } from '../links/index.js';
import { DIVERT, type Marks } from '../names.js';
import { type Divert, pairOf, setUpDivert } from './divert.js';
import { InputCheck } from './input-check.js';
import { setUpRedirect } from './redirect-rules.js';
import { checkBridgeRequirements, checkRequirements } from './requirements.js';
import type { Family, Ports } from './rule-messages.js';

const LOOK_MS = 10_000;
const AGAIN_MS = 1000;

export interface RedirectOptions {
  readonly log: Log;
  readonly watch: LinkWatch;
  readonly marks: Marks;
  readonly table: number;
  /** The proxy asks from the pods' own addresses. */
  readonly isTransparentUpstream: boolean;
  /** Of the addresses that are listened on; default: both. */
  readonly families?: readonly Family[];
}

export interface RedirectWants {
  /** Of DNS: disjoint, rising. */
  readonly ports: readonly Ports[];
  /** There are pods behind bridges. */
  readonly isBridged: boolean;
}

export class Redirect {
  private readonly options: RedirectOptions;
  private readonly input: InputCheck;
  private readonly timer: NodeJS.Timeout;
  private again: NodeJS.Timeout | null = null;
  private wants: RedirectWants | null = null;
  private inOrder: Promise<void> = Promise.resolve();
  private isBridgeReady = false;
  private ruleProblem: string | null = null;
  private pairProblem: string | null = null;
  /** As told last. */
  private toldReason = '';
  private isClosed = false;

  /** @throws AppError UNAVAILABLE naming the privilege or kernel feature that is missing, and the remedy. */
  static async prepare(options: RedirectOptions): Promise<Redirect> {
    const { families = [4, 6], isTransparentUpstream } = options;
    await checkRequirements({ families, isTransparentUpstream });
    return new Redirect(options);
  }

  private constructor(options: RedirectOptions) {
    this.options = options;
    this.input = new InputCheck(options.marks.redirect);
    this.timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  /** By the member that leads: has it all there, and repairs it. Resolves when that was tried; what failed is tried again. */
  want(wants: RedirectWants): Promise<void> {
    if (this.wants === null) void this.look(true);
    this.wants = wants;
    this.inOrder = this.inOrder.then(() => this.arrange(wants));
    return this.inOrder;
  }

  /** The pair of links for bridged pods; null: it is not there, or not up. */
  divert(): Divert | null {
    const { watch } = this.options;
    return pairOf(watch.linkNamed(DIVERT.outer), watch.linkNamed(DIVERT.inner));
  }

  problems(): readonly string[] {
    return [this.ruleProblem, this.pairProblem, this.input.found].filter((problem) => problem !== null);
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.timer);
    if (this.again !== null) clearTimeout(this.again);
  }

  private async arrange({ ports, isBridged }: RedirectWants): Promise<void> {
    if (this.isClosed) return;
    const { marks, table, isTransparentUpstream, families = [4, 6], log } = this.options;
    this.ruleProblem = await problemOf(async () => {
      const done = await setUpRedirect({ families, mark: marks.redirect, table, ports, hasAnswers: isTransparentUpstream });
      if (done.length > 0) log.info('routing of redirected DNS is set up', { done: done.join(', ') });
    });
    this.pairProblem = !isBridged || this.divert() !== null ? null : await problemOf(async () => {
      if (!this.isBridgeReady) await checkBridgeRequirements();
      this.isBridgeReady = true;
      await setUpDivert();
    });
    const reason = [this.ruleProblem, this.pairProblem].filter((problem) => problem !== null).join('; ');
    // What lasts is tried again every second, and told once.
    if (reason !== '' && reason !== this.toldReason) log.error('DNS is not redirected as it should be; it is tried again', { reason });
    this.toldReason = reason;
    if (reason === '') return;
    this.again ??= setTimeout(() => {
      this.again = null;
      if (this.wants !== null) void this.want(this.wants);
    }, AGAIN_MS).unref();
  }

  private async look(isWriter = this.wants !== null): Promise<void> {
    const before = this.input.found;
    const problem = await problemOf(() => this.input.look(isWriter));
    if (problem !== null) this.options.log.warn('whether a firewall drops redirected DNS cannot be told', { reason: problem });
    const { found } = this.input;
    if (found !== null && found !== before) this.options.log.warn(found);
  }
}

/** null: it was done. */
async function problemOf(work: () => Promise<void>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (error instanceof AppError) return error.message;
    return `no netlink socket is to be had: ${(error as Error).message}`;
  }
}

/**
 * What is open in the kernel's FQDN sets, held against what the cache says: the control thread's half of opening.
 *
 * The data planes of both members open what they learn themselves. Here is what they cannot know: that an element should stay
 * longer than the latest answer says (a shorter timeout written last would win), what a peer or a file taught, what connections keep open,
 * and what is to be closed. Elements carry timeouts, so whatever is not renewed here ends by itself.
 *
 * Invariant: what is written is never shorter than what the cache says at that time, and what is closed is in no set that the cache
 * still opens; a mapping that comes while a removal is under way is written after it. Nothing that was to be written is forgotten
 * because the kernel, or another's set, was not there: it is tried again, ever more seldom, until policy or a later look drops it.
 */
import { COLLECT_GRACE_MS, formatAddress, type FqdnCache, type Mapping, monoMs, parseAddress, type Settings, type Snapshot } from '@tandem/core';
import { bootTimeMs, NETLINK, netlinkExchange, type NetlinkReply } from 'node-reuseport';
import { isOfPods } from '../fqdn-groups.js';
import { graceMs } from '../opener/grace.js';
import { elementText, type OpenElement, OpenElements } from '../opener/open-elements.js';
import { SetBatch } from '../opener/set-batch.js';
import type { OpenElements as ElementsBySet } from '../program/text.js';
import type { OpenElement as ProgramElement } from '../program/program.js';

/** Elements in one transaction: about 5 ms of the kernel's time. */
const ELEMENTS_PER_WRITE = 500;
const WRITE_DEADLINE_MS = 5000;
const REPLY_BYTES_MAX = 1024 * 1024;
/** What comes in so long is written together. */
const GATHER_MS = 20;
/** Ends that differ by less are one. */
const SAME_MS = 1000;
/** What the kernel did not take is tried again so soon, then after twice the time, and so on. */
const AGAIN_MS = { first: 250, most: 30_000 } as const;
/** The set, or the table, is not there: its policy is about to be written, or another's is. */
const ENOENT = 2;
/** No socket to be had. */
const EMFILE = 24;
/** Each member collects once in that time, with one to spare. */
const COLLECTIONS_TO_LEAVE = 2;
const V4_BYTES = 4;
const V6_BYTES = 16;

interface Ending extends OpenElement {
  untilMs: number;
  /** Of the mappings that opened it the latest: data planes rely on it until then, and COLLECT_GRACE_MS. */
  expiryMs: number;
  /** The cache has it no more: it was told to end then. */
  readonly isLeaving?: true;
}

interface Change extends OpenElement {
  /** null: it is to be closed. */
  readonly untilMs: number | null;
  readonly isLeaving?: true;
}

type Changes = Map<string, Change>;

export class OpenAddresses {
  private readonly elements: OpenElements;
  private readonly cache: FqdnCache;
  private readonly graceMs: number;
  private readonly leaveMs: number;
  private readonly onFailed: (errno: number, message: string) => void;
  private open = new Map<string, Ending>();
  private waiting: Changes = new Map();
  /** What the kernel did not take. */
  private refused: Changes = new Map();
  private againMs: number = AGAIN_MS.first;
  /** What a program's text was given. */
  private given: ReadonlyMap<string, Ending> | null = null;
  /** What our own data plane opened for look-ups until then may have been closed since, or be left out of a table that was made anew. */
  private doubtedMs = -Infinity;
  private timer: NodeJS.Timeout | null = null;
  private againTimer: NodeJS.Timeout | null = null;
  private writing: Promise<void> = Promise.resolve();
  private isClosed = false;

  constructor(settings: Settings, cache: FqdnCache, onFailed: (errno: number, message: string) => void) {
    this.elements = new OpenElements(settings.grantScope);
    this.cache = cache;
    this.graceMs = graceMs(settings);
    this.leaveMs = COLLECTIONS_TO_LEAVE * settings.gcIntervalMs;
    this.onFailed = onFailed;
  }

  /** Elements that are open, as far as is known here. */
  get size(): number {
    return this.open.size;
  }

  /** What this policy opens and closes in sets that are there already; those that come with it are filled by whoever writes them. */
  setPolicy(snapshot: Snapshot): void {
    this.elements.setPolicy(snapshot);
    const sets = new Set(this.elements.sets());
    for (const changes of [this.waiting, this.refused]) {
      for (const [text, { set }] of changes) if (!sets.has(set)) changes.delete(text);
    }
    const before = this.open;
    this.open = this.desired();
    for (const [text, element] of this.open) if (!before.has(text)) this.waiting.set(text, element);
    for (const [text, element] of before) {
      if (!sets.has(element.set) || this.open.has(text)) continue;
      // A pod's own set opens for an address of a pod, whoever has that by now.
      if (isOfPods(element.set)) this.waiting.set(text, { ...element, untilMs: null });
      else this.leave(text, element);
    }
    this.writeSoon();
  }

  /** For a program's text: only sets that are asked for are gone through. */
  bySet(): ElementsBySet {
    const names = new Set(this.elements.sets());
    let sets: Map<string, ProgramElement[]> | null = null;
    const list = (): Map<string, ProgramElement[]> => {
      this.given = new Map(this.open);
      return inSets(this.open.values());
    };
    return { get: (set) => (names.has(set) ? (sets ??= list()).get(set) : undefined) };
  }

  /** The text is in the kernel; `isWhole`: its sets may have been made anew, by this member or another. */
  written(isWhole: boolean): void {
    const { given } = this;
    this.given = null;
    for (const [text, element] of given ?? []) if (!this.open.has(text)) this.waiting.set(text, { ...element, untilMs: null });
    if (isWhole) {
      for (const [text, element] of this.open) this.waiting.set(text, element);
      this.doubtedMs = bootTimeMs();
    }
    // Sets may have come that were missed.
    this.againMs = AGAIN_MS.first;
    this.tryAgain();
  }

  /** Whether the address is open in the set of this name for the pod with these addresses (which only some sets ask for). */
  has(element: OpenElement): boolean {
    return (this.open.get(elementText(element))?.untilMs ?? 0) > bootTimeMs();
  }

  /** Our own data plane has opened these: only what it made end earlier, and what may have been closed since, is to be written. */
  learned(mappings: readonly Mapping[]): void {
    this.join(mappings, (before, untilMs, { lookupMs }) => (before !== null && before > untilMs + SAME_MS) || lookupMs <= this.doubtedMs);
  }

  /** A peer or a file taught these. */
  taught(mappings: readonly Mapping[]): void {
    this.join(mappings, () => true);
  }

  /**
   * Writes all that the cache opens. What it opens no more is closed, unless a peer may have opened it again unheard (`mayClose` is false):
   * then the kernel closes it in time. What a limit took before it expired the data planes take for open, until their members collect: unless
   * it was cleaned (`isCleaned`) it ends when both have. Resolves when the kernel has it, or does not take it.
   */
  async refresh(mayClose: boolean, isCleaned = mayClose): Promise<void> {
    const before = this.open;
    const nowMs = bootTimeMs();
    const soonMs = nowMs + this.leaveMs;
    this.open = this.desired();
    for (const [text, element] of this.open) this.waiting.set(text, element);
    for (const [text, element] of before) {
      if (this.open.has(text)) continue;
      const isTrusted = !isCleaned && element.expiryMs + COLLECT_GRACE_MS > nowMs;
      if (!mayClose || (element.isLeaving === true && !isCleaned)) this.leave(text, element);
      else if (isTrusted) this.leaveBy(text, { ...element, untilMs: Math.min(element.untilMs, soonMs), isLeaving: true });
      else this.waiting.set(text, { ...element, untilMs: null });
    }
    await this.write();
  }

  close(): void {
    this.isClosed = true;
    for (const timer of [this.timer, this.againTimer]) if (timer !== null) clearTimeout(timer);
  }

  private join(mappings: readonly Mapping[], mustWrite: (beforeMs: number | null, untilMs: number, mapping: Mapping) => boolean): void {
    for (const mapping of mappings) {
      const { endpointUid, name, address, expiryMs } = mapping;
      const untilMs = expiryMs + this.graceMs;
      // The cache does not have it, but it may have been opened behind the clean's back.
      const isCleaned = this.cache.isCleaned(mapping);
      for (const element of this.elements.of(name, parseAddress(address)!, endpointUid)) {
        const text = elementText(element);
        const before = this.open.get(text);
        if (isCleaned) {
          if (before === undefined) this.waiting.set(text, { ...element, untilMs: null });
          continue;
        }
        const joined = before !== undefined && before.untilMs > untilMs ? before : { ...element, untilMs, expiryMs };
        if (joined !== before) this.open.set(text, joined);
        this.refused.delete(text);
        // What waits is perhaps its end.
        if (mustWrite(before?.untilMs ?? null, untilMs, mapping) || this.waiting.has(text)) this.waiting.set(text, joined);
      }
    }
    this.writeSoon();
  }

  private leaveBy(text: string, element: Ending): void {
    this.open.set(text, element);
    this.waiting.set(text, element);
  }

  /** It ends in the kernel by itself. */
  private leave(text: string, element: Ending): void {
    if (element.untilMs > bootTimeMs()) this.open.set(text, element);
  }

  private writeSoon(): void {
    if (this.waiting.size === 0 || this.timer !== null || this.isClosed) return;
    this.timer = setTimeout(() => void this.write(), GATHER_MS);
    this.timer.unref();
  }

  /** One after another, so that what was said last is what stands. Never rejects. */
  private write(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.writing = this.writing.then(() => this.writeWaiting());
    return this.writing;
  }

  private async writeWaiting(): Promise<void> {
    while (this.waiting.size > 0 && !this.isClosed) await this.writePart(takeFirst(this.waiting, ELEMENTS_PER_WRITE));
    if (this.refused.size === 0) this.againMs = AGAIN_MS.first;
    else this.tryAgainSoon();
  }

  /** A part with a set that is not there is undone whole: then each set by itself. */
  private async writePart(part: readonly (readonly [string, Change])[]): Promise<void> {
    const { errno, message } = await send(part);
    if (errno === 0) {
      this.wrote(part);
      return;
    }
    const ofSets = Map.groupBy(part, ([, { set }]) => set);
    if (errno !== EMFILE && ofSets.size > 1) {
      for (const ofSet of ofSets.values()) await this.writePart(ofSet);
      return;
    }
    if (errno !== ENOENT) this.onFailed(errno, message);
    for (const [text, change] of part) {
      // Where there is no set nothing is open.
      if (errno === ENOENT && change.untilMs === null) continue;
      if (!this.waiting.has(text)) this.refused.set(text, change);
    }
  }

  private wrote(part: readonly (readonly [string, Change])[]): void {
    for (const [text, { untilMs, isLeaving }] of part) {
      this.refused.delete(text);
      if (untilMs !== null && isLeaving !== true) continue;
      this.doubtedMs = bootTimeMs();
      // Learned while it was being closed.
      const opened = this.open.get(text);
      if (opened !== undefined && opened.isLeaving !== true && !this.waiting.has(text)) this.waiting.set(text, opened);
    }
  }

  private tryAgainSoon(): void {
    if (this.againTimer !== null || this.isClosed) return;
    this.againTimer = setTimeout(() => { this.tryAgain(); }, this.againMs);
    this.againTimer.unref();
    this.againMs = Math.min(2 * this.againMs, AGAIN_MS.most);
  }

  private tryAgain(): void {
    if (this.againTimer !== null) clearTimeout(this.againTimer);
    this.againTimer = null;
    for (const [text, change] of this.refused) if (!this.waiting.has(text)) this.waiting.set(text, change);
    this.refused.clear();
    void this.write();
  }

  private desired(): Map<string, Ending> {
    const open = new Map<string, Ending>();
    const add = ({ name, address, endpointUid }: Pick<Mapping, 'name' | 'address' | 'endpointUid'>, untilMs: number, expiryMs: number): void => {
      for (const element of this.elements.of(name, parseAddress(address)!, endpointUid)) {
        const text = elementText(element);
        const known = open.get(text);
        if (known === undefined) {
          open.set(text, { ...element, untilMs, expiryMs });
          continue;
        }
        known.untilMs = Math.max(known.untilMs, untilMs);
        known.expiryMs = Math.max(known.expiryMs, expiryMs);
      }
    };
    const nowMs = monoMs(bootTimeMs());
    for (const mapping of this.cache.everything()) add(mapping, Math.max(mapping.expiryMs, nowMs) + this.graceMs, mapping.expiryMs);
    for (const zombie of this.cache.zombies()) add(zombie, nowMs + this.graceMs, -Infinity);
    return open;
  }
}

/** Takes them out. */
function takeFirst(changes: Changes, count: number): [string, Change][] {
  const first: [string, Change][] = [];
  for (const one of changes) {
    if (first.length === count) break;
    first.push(one);
    changes.delete(one[0]);
  }
  return first;
}

/** In one transaction: all of it or nothing. */
async function send(part: readonly (readonly [string, Change])[]): Promise<Pick<NetlinkReply, 'errno' | 'message'>> {
  const batch = new SetBatch(2 * part.length);
  const nowMs = bootTimeMs();
  for (const [, { set, key, untilMs }] of part) {
    batch.add(set, key, untilMs === null ? 1 : untilMs - nowMs);
    // To delete what is not there would undo all of it: hence the line before.
    if (untilMs === null) batch.delete(set, key);
  }
  try {
    return await netlinkExchange({ protocol: NETLINK.netfilter, request: batch.take(), deadlineMs: WRITE_DEADLINE_MS, bytesMax: REPLY_BYTES_MAX });
  } catch (error) {
    return { errno: EMFILE, message: (error as Error).message };
  }
}

function inSets(elements: Iterable<Ending>): Map<string, ProgramElement[]> {
  const sets = new Map<string, ProgramElement[]>();
  const nowMs = bootTimeMs();
  for (const { set, key, untilMs } of elements) {
    let list = sets.get(set);
    if (list === undefined) sets.set(set, (list = []));
    list.push({ ...addressesOf(key, set), timeoutMs: Math.max(1, Math.round(untilMs - nowMs)) });
  }
  return sets;
}

/** `set` says the family by its fields' length: two fields are a pod and an address. */
function addressesOf(key: Uint8Array, set: string): { address: string; pod?: string } {
  const fields = isOfPods(set) ? 2 : 1;
  const bytes = key.length / fields;
  const address = textOf(key.subarray(key.length - bytes));
  return fields === 1 ? { address } : { address, pod: textOf(key.subarray(0, bytes)) };
}

function textOf(bytes: Uint8Array): string {
  if (bytes.length !== V4_BYTES) return formatAddress(bytes);
  const mapped = new Uint8Array(V6_BYTES);
  mapped[10] = mapped[11] = 0xff;
  mapped.set(bytes, V6_BYTES - V4_BYTES);
  return formatAddress(mapped);
}

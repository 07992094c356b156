/**
 * What is open in the kernel's FQDN sets, held against what the cache says: the control thread's half of opening.
 *
 * The data planes of both members open what they learn themselves. Here is what they cannot know: that an element should stay
 * longer than the latest answer says (a shorter timeout written last would win), what a peer or a file taught, what connections keep open,
 * and what is to be closed. Elements carry timeouts, so whatever is not renewed here ends by itself.
 *
 * Invariant: what is written is never shorter than what the cache says at that time, and what is closed is in no set that the cache
 * still opens; a mapping that comes while a removal is under way is written after it.
 */
import { formatAddress, type FqdnCache, type Mapping, monoMs, parseAddress, type Settings, type Snapshot } from '@tandem/core';
import { bootTimeMs, NETLINK, netlinkExchange } from 'node-reuseport';
import { graceMs } from '../opener/grace.js';
import { elementText, type OpenElement, OpenElements } from '../opener/open-elements.js';
import { SetBatch } from '../opener/set-batch.js';
import type { OpenElement as ProgramElement } from '../program/program.js';

/** Elements in one transaction: about 5 ms of the kernel's time. */
const ELEMENTS_PER_WRITE = 500;
const WRITE_DEADLINE_MS = 5000;
const REPLY_BYTES_MAX = 1024 * 1024;
/** What comes in so long is written together. */
const GATHER_MS = 20;
/** Ends that differ by less are one. */
const SAME_MS = 1000;
const V4_BYTES = 4;
const V6_BYTES = 16;

interface Ending extends OpenElement {
  untilMs: number;
}

interface Change extends OpenElement {
  /** null: it is to be closed. */
  readonly untilMs: number | null;
}

export class OpenAddresses {
  private readonly elements: OpenElements;
  private readonly cache: FqdnCache;
  private readonly graceMs: number;
  private readonly onFailed: (errno: number, message: string) => void;
  private open = new Map<string, Ending>();
  private waiting = new Map<string, Change>();
  private timer: NodeJS.Timeout | null = null;
  private writing: Promise<void> = Promise.resolve();
  private isClosed = false;

  constructor(settings: Settings, cache: FqdnCache, onFailed: (errno: number, message: string) => void) {
    this.elements = new OpenElements(settings.grantScope);
    this.cache = cache;
    this.graceMs = graceMs(settings);
    this.onFailed = onFailed;
  }

  /** Elements that are open, as far as is known here. */
  get size(): number {
    return this.open.size;
  }

  /** The sets of this policy, filled from the cache, for whoever writes them; what was known of others is forgotten. */
  setPolicy(snapshot: Snapshot): void {
    this.elements.setPolicy(snapshot);
    this.open = this.desired();
    this.waiting.clear();
  }

  /** For a program's text. */
  bySet(): Map<string, ProgramElement[]> {
    const sets = new Map<string, ProgramElement[]>();
    const nowMs = bootTimeMs();
    for (const { set, key, untilMs } of this.open.values()) {
      let list = sets.get(set);
      if (list === undefined) sets.set(set, (list = []));
      list.push({ ...addressesOf(key, set), timeoutMs: Math.max(1, Math.round(untilMs - nowMs)) });
    }
    return sets;
  }

  /** Whether the address is open in the set of this name for the pod with these addresses (which only some sets ask for). */
  has(element: OpenElement): boolean {
    return (this.open.get(elementText(element))?.untilMs ?? 0) > bootTimeMs();
  }

  /** Our own data plane has opened these: only where it made an element's end earlier is there something to write. */
  learned(mappings: readonly Mapping[]): void {
    this.join(mappings, (before, untilMs) => before !== null && before > untilMs + SAME_MS);
  }

  /** A peer or a file taught these. */
  taught(mappings: readonly Mapping[]): void {
    this.join(mappings, () => true);
  }

  /** Writes all that the cache opens, and closes what it does not any more. Resolves when the kernel has it. */
  async refresh(): Promise<void> {
    const before = this.open;
    this.open = this.desired();
    for (const [text, element] of this.open) this.waiting.set(text, element);
    for (const [text, element] of before) if (!this.open.has(text)) this.waiting.set(text, { ...element, untilMs: null });
    await this.write();
  }

  close(): void {
    this.isClosed = true;
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private join(mappings: readonly Mapping[], mustWrite: (beforeMs: number | null, untilMs: number) => boolean): void {
    for (const { endpointUid, name, address, expiryMs } of mappings) {
      const untilMs = expiryMs + this.graceMs;
      for (const element of this.elements.of(name, parseAddress(address)!, endpointUid)) {
        const text = elementText(element);
        const before = this.open.get(text);
        const joined = before !== undefined && before.untilMs > untilMs ? before : { ...element, untilMs };
        if (joined !== before) this.open.set(text, joined);
        if (mustWrite(before?.untilMs ?? null, untilMs)) this.waiting.set(text, joined);
      }
    }
    if (this.waiting.size > 0 && this.timer === null && !this.isClosed) {
      this.timer = setTimeout(() => void this.write(), GATHER_MS);
      this.timer.unref();
    }
  }

  /** One after another, so that what was said last is what stands. */
  private write(): Promise<void> {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    this.writing = this.writing.then(() => this.writeWaiting());
    return this.writing;
  }

  private async writeWaiting(): Promise<void> {
    const batch = new SetBatch(2 * ELEMENTS_PER_WRITE);
    while (this.waiting.size > 0 && !this.isClosed) {
      const part = [...this.waiting].slice(0, ELEMENTS_PER_WRITE);
      for (const [text] of part) this.waiting.delete(text);
      const nowMs = bootTimeMs();
      for (const [, { set, key, untilMs }] of part) {
        batch.add(set, key, untilMs === null ? 1 : untilMs - nowMs);
        // To delete what is not there would undo all of it: hence the line before.
        if (untilMs === null) batch.delete(set, key);
      }
      const reply = await netlinkExchange({ protocol: NETLINK.netfilter, request: batch.take(), deadlineMs: WRITE_DEADLINE_MS, bytesMax: REPLY_BYTES_MAX });
      if (reply.errno !== 0) this.onFailed(reply.errno, reply.message);
    }
  }

  private desired(): Map<string, Ending> {
    const open = new Map<string, Ending>();
    const add = (name: string, address: string, by: string, untilMs: number): void => {
      for (const element of this.elements.of(name, parseAddress(address)!, by)) {
        const text = elementText(element);
        const known = open.get(text);
        if (known === undefined) open.set(text, { ...element, untilMs });
        else known.untilMs = Math.max(known.untilMs, untilMs);
      }
    };
    const nowMs = monoMs(bootTimeMs());
    for (const { endpointUid, name, address, expiryMs } of this.cache.everything()) add(name, address, endpointUid, Math.max(expiryMs, nowMs) + this.graceMs);
    for (const { endpointUid, name, address } of this.cache.zombies()) add(name, address, endpointUid, nowMs + this.graceMs);
    return open;
  }
}

/** `set` says the family by its fields' length: two fields are a pod and an address. */
function addressesOf(key: Uint8Array, set: string): { address: string; pod?: string } {
  const fields = set.startsWith('pod-') ? 2 : 1;
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

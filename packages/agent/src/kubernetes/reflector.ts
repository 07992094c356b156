/**
 * The objects of one list/watch, kept equal to the server's: list once, then watch from the version of the list, for ever. What each
 * fault leads to stands in docs/kubernetes.md.
 *
 * Invariant: `objects` is what the server had at one moment that was no earlier than the one before; while the server is away, it stays.
 * Deletions that no event told are found by the next list. An object that did not change is the very same object as before.
 * Does not know: what objects mean, what other watches hold.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ApiClient } from './api-client.js';
import { ApiError, type ApiFault } from './api-error.js';
import { Backoff } from './backoff.js';
import { LineReader, ListReader, type ListMetadata } from './list-reader.js';
import type { SourceCounts } from './source-counts.js';

/** An object as it came, with a name; the rest may be of any shape. */
export interface RawObject {
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string; readonly namespace?: string };
  readonly [key: string]: unknown;
}

export interface Watched<T> {
  /** For people and metrics. */
  readonly resource: string;
  /** Of the collection, best first: the first that the server has is taken. */
  readonly paths: readonly string[];
  /** Field and label selectors. */
  readonly query: Readonly<Record<string, string>>;
  /** A server may lack the kind; others are never taken as none, whatever it says. */
  readonly mayBeAbsent: boolean;
  /** What is kept of an object. Never throws. */
  read(object: RawObject, before: T | null): T;
}

/** Milliseconds but where it says otherwise. */
export interface ReflectorTimes {
  /** The server ends a watch after so long; by chance up to twice as much. */
  readonly watchSeconds: number;
  /** A stream that is silent for so much longer than the server lets it live is dead. */
  readonly stallMargin: number;
  readonly backoffFirst: number;
  readonly backoffMax: number;
  /** Added for what does not pass by itself: no right, no such kind, an answer that makes no sense. */
  readonly slow: number;
  /** A watch that lived so long was a good one. */
  readonly settled: number;
  /** Trouble that passes within this is not spoken of. */
  readonly grace: number;
}

export const REFLECTOR_TIMES: ReflectorTimes = {
  watchSeconds: 300, stallMargin: 30_000, backoffFirst: 100, backoffMax: 20_000, slow: 10_000, settled: 10_000, grace: 2_000,
};

export interface ReflectorSeams {
  readonly client: ApiClient;
  readonly counts: SourceCounts;
  readonly times: ReflectorTimes;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly onChange: () => void;
  /** The first list is there. */
  readonly onSynced: () => void;
  /** The server cannot be reached. */
  readonly onUnreachable: () => void;
  /** A watch has begun. */
  readonly onOpened: () => void;
  /** A defect of ours. */
  readonly fail: (error: Error) => void;
}

export interface Trouble {
  readonly code: ApiFault;
  readonly message: string;
  readonly sinceMs: number;
}

const PAGE = { limit: '500' };
const LIST_SILENCE_MS = 30_000;
/** Answered from the server's cache: the version that it happens to have. */
const ANY_VERSION = '0';
const SLOW_FAULTS: readonly ApiFault[] = ['forbidden', 'absent', 'malformed', 'too-large', 'file'];
/** So many looks in a row must say that a kind is not there: a server that starts says it of kinds that it has not loaded yet. */
const ABSENCES_MIN = 2;
const ABSENCE_LOOK_MS = 1_000;
/** A watch that was cut so often within this is not helped by haste. */
const CUTS = 2;
const CUTS_WITHIN_MS = 30_000;

export class Reflector<T> {
  readonly watched: Watched<T>;
  readonly objects = new Map<string, T>();
  private readonly seams: ReflectorSeams;
  private readonly backoff: Backoff;
  private readonly closing = new AbortController();
  /** null: to be listed. */
  private version: string | null = null;
  /** The last that was heard of: a list may not be older. */
  private heardVersion: string | null = null;
  /** The next list asks for the newest, past the server's cache. */
  private wantsNewest = false;
  private path: string;
  private query: Watched<T>['query'];
  private synced = false;
  private absences = 0;
  private lastTrouble: Trouble | null = null;
  private openedAtMs: number | null = null;
  /** When it failed to connect, or lost its connection, last: in a row. */
  private cutAtMs: readonly number[] = [];
  private wake: () => void = () => undefined;

  constructor(watched: Watched<T>, seams: ReflectorSeams) {
    this.watched = watched;
    this.seams = seams;
    this.path = watched.paths[0];
    this.query = watched.query;
    const { backoffFirst: firstMs, backoffMax: maxMs } = seams.times;
    this.backoff = new Backoff({ firstMs, maxMs, random: seams.random });
  }

  /** Has listed once, or knows that there is nothing to list. */
  get isSynced(): boolean {
    return this.synced;
  }

  /** null for as long as it may pass unnoticed. */
  get trouble(): Trouble | null {
    const trouble = this.lastTrouble;
    return trouble !== null && performance.now() - trouble.sinceMs >= this.seams.times.grace ? trouble : null;
  }

  /** The kind is not there, and taken as none. */
  get isNone(): boolean {
    return this.synced && this.watched.mayBeAbsent && this.objects.size === 0 && this.lastTrouble?.code === 'absent';
  }

  start(): void {
    this.run().catch((error: unknown) => { this.seams.fail(error instanceof Error ? error : new Error(String(error))); });
  }

  close(): void {
    this.closing.abort();
    this.wake();
  }

  /** The server can be reached again: whoever waits for that tries now, and patiently where that did not help before. */
  kick(): void {
    if (this.lastTrouble?.code !== 'connect') return;
    const [first] = this.cutAtMs;
    if (this.cutAtMs.length < CUTS || performance.now() - first > CUTS_WITHIN_MS) this.backoff.reset();
    this.wake();
  }

  private async run(): Promise<void> {
    while (!this.closing.signal.aborted) {
      try {
        if (this.version === null) await this.list();
        await this.watch(this.version ?? '');
        // An end that is in order, but one after the other would be a storm, too.
        if (!this.hasSettled()) await this.sleep(this.backoff.next());
      } catch (error) {
        if (this.closing.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        await this.failed(error);
      }
    }
  }

  private hasSettled(): boolean {
    const isSettled = this.openedAtMs !== null && performance.now() - this.openedAtMs >= this.seams.times.settled;
    if (isSettled) {
      this.backoff.reset();
      this.cutAtMs = [];
    }
    return isSettled;
  }

  private async failed(error: ApiError): Promise<void> {
    const { counts, times, onUnreachable, random } = this.seams;
    counts.failed(error.code);
    const isListing = this.version === null;
    this.hasSettled();
    this.openedAtMs = null;
    this.lastTrouble = { code: error.code, message: error.message, sinceMs: this.lastTrouble?.sinceMs ?? performance.now() };
    if (error.code === 'expired' || error.code === 'malformed' || error.code === 'too-large' || error.code === 'absent') {
      this.version = null;
    }
    if (isListing && isRefusedVersion(error) && !this.wantsNewest) this.wantsNewest = true;
    else if (error.status === 400) this.widen();
    this.cutAtMs = error.code === 'connect' ? [...this.cutAtMs, performance.now()].slice(-CUTS) : [];
    if (error.code === 'connect') onUnreachable();
    const patienceMs = error.retryAfterMs === null ? 0 : error.retryAfterMs * (1 + random() / 4);
    const isLooking = error.code === 'absent' && !this.synced;
    await this.sleep(this.backoff.next(Math.max(patienceMs, isLooking ? ABSENCE_LOOK_MS : SLOW_FAULTS.includes(error.code) ? times.slow : 0)));
  }

  /** The labels may be what the server does not understand: without them there is more than is needed, and not nothing. */
  private widen(): void {
    if (this.query.labelSelector === undefined) return;
    this.query = Object.fromEntries(Object.entries(this.query).filter(([key]) => key !== 'labelSelector'));
    this.version = null;
  }

  /** Until `kick` or `close`, at most. */
  private sleep(ms: number): Promise<void> {
    if (this.closing.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private async list(): Promise<void> {
    const { counts, onChange, onSynced } = this.seams;
    if (this.synced) counts.relisted(this.watched.resource);
    const { found, version } = await this.listFirst();
    const isChanged = found.size !== this.objects.size || [...found].some(([key, object]) => this.objects.get(key) !== object);
    this.objects.clear();
    for (const [key, object] of found) this.objects.set(key, object);
    this.version = version;
    this.heardVersion = version;
    this.wantsNewest = false;
    this.absences = 0;
    counts.heard();
    if (!this.synced) {
      this.synced = true;
      onSynced();
    }
    if (isChanged) onChange();
  }

  /** Of the first path that is there. */
  private async listFirst(): Promise<{ found: Map<string, T>; version: string }> {
    for (const path of this.watched.paths) {
      try {
        const listed = await this.listPath(path);
        this.path = path;
        return listed;
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'absent' || path === this.watched.paths.at(-1)) {
          if (error instanceof ApiError && error.code === 'absent') await this.absent();
          throw error;
        }
      }
    }
    throw new Error('a watched resource has no path');
  }

  /** The kind is not there. Who has never heard of one of its objects believes that there are none, once the server is sure. */
  private async absent(): Promise<void> {
    if (this.synced || !this.watched.mayBeAbsent) return;
    this.absences++;
    if (this.absences < ABSENCES_MIN || !(await this.isServerReady())) return;
    this.synced = true;
    this.seams.onSynced();
  }

  /** A server that does not say so to us is believed to be. */
  private async isServerReady(): Promise<boolean> {
    try {
      await this.seams.client.text({ method: 'GET', path: '/readyz', signal: this.closing.signal });
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error.code === 'forbidden' || error.code === 'credentials';
    }
  }

  private async listPath(path: string): Promise<{ found: Map<string, T>; version: string }> {
    const found = new Map<string, T>();
    let page: ListMetadata | null = null;
    do {
      const reader = new ListReader((item) => {
        const object = rawObject(item);
        // One that nobody could name is one that no policy could mean.
        if (object !== null) found.set(keyOf(object), this.read(object));
      });
      const next: string | null = page?.next ?? null;
      const query = next !== null ? { ...PAGE, continue: next } : this.listQuery();
      await this.seams.client.stream(
        { method: 'GET', path: withQuery(path, { ...this.query, ...query }), signal: this.closing.signal },
        { silenceMsMax: LIST_SILENCE_MS, onChunk: (chunk) => { reader.push(chunk); } },
      );
      page = reader.end();
    } while (page.next !== null);
    return { found, version: page.resourceVersion };
  }

  /** From the server's cache where it will do: all nodes may ask at once. */
  private listQuery(): Readonly<Record<string, string>> {
    if (this.wantsNewest) return PAGE;
    if (this.heardVersion === null) return { ...PAGE, resourceVersion: ANY_VERSION };
    // With a limit, servers would not answer from their cache.
    return { resourceVersion: this.heardVersion, resourceVersionMatch: 'NotOlderThan' };
  }

  private async watch(version: string): Promise<void> {
    const { client, counts, times, random, onOpened } = this.seams;
    const timeoutSeconds = Math.ceil(times.watchSeconds * (1 + random()));
    const reader = new LineReader((event) => { this.event(event); });
    const query = { ...this.query, watch: '1', allowWatchBookmarks: 'true', resourceVersion: version, timeoutSeconds: String(timeoutSeconds) };
    await client.stream({ method: 'GET', path: withQuery(this.path, query), signal: this.closing.signal }, {
      silenceMsMax: timeoutSeconds * 1000 + times.stallMargin,
      onOpen: () => {
        counts.restarted(this.watched.resource);
        counts.heard();
        this.openedAtMs = performance.now();
        this.lastTrouble = null;
        onOpened();
      },
      onChunk: (chunk) => {
        counts.heard();
        reader.push(chunk);
      },
    });
  }

  private event(event: unknown): void {
    const { type, object: raw } = (typeof event === 'object' && event !== null ? event : {}) as { readonly type?: unknown; readonly object?: unknown };
    if (type === 'ERROR') throw errorEvent(raw);
    const version = versionOf(raw);
    if (version === null) throw new ApiError('malformed', 'an event has no resourceVersion');
    if (type !== 'BOOKMARK') {
      const object = rawObject(raw);
      if (object === null) throw new ApiError('malformed', 'an event has an object without a name');
      if (type === 'DELETED') this.delete(keyOf(object));
      else if (type === 'ADDED' || type === 'MODIFIED') this.put(keyOf(object), object);
      else throw new ApiError('malformed', 'an event is of no known type');
    }
    this.version = version;
    this.heardVersion = version;
  }

  private put(key: string, raw: RawObject): void {
    const before = this.objects.get(key);
    const object = this.read(raw);
    if (object === before) return;
    this.objects.set(key, object);
    this.seams.onChange();
  }

  private delete(key: string): void {
    if (this.objects.delete(key)) this.seams.onChange();
  }

  private read(raw: RawObject): T {
    const before = this.objects.get(keyOf(raw)) ?? null;
    const object = this.watched.read(raw, before);
    return before !== null && isDeepStrictEqual(object, before) ? before : object;
  }
}

/** Of a list: the version that was asked for is one that the server does not know any more, or (after its store was put back) not yet. */
function isRefusedVersion({ status, message }: ApiError): boolean {
  return status === 410 || status === 400 || (status === 504 && /too large resource version/i.test(message));
}

function rawObject(value: unknown): RawObject | null {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return null;
  const { metadata } = value;
  if (typeof metadata !== 'object' || metadata === null || !('name' in metadata) || typeof metadata.name !== 'string' || metadata.name === '') return null;
  if ('namespace' in metadata && typeof metadata.namespace !== 'string') return null;
  return value as RawObject;
}

export function keyOf({ metadata: { namespace = '', name } }: RawObject): string {
  return `${namespace}/${name}`;
}

function versionOf(raw: unknown): string | null {
  const metadata = (raw as { readonly metadata?: { readonly resourceVersion?: unknown } } | null)?.metadata;
  const version = metadata?.resourceVersion;
  return typeof version === 'string' && version !== '' ? version : null;
}

/** The server's Status object in place of an object. */
function errorEvent(raw: unknown): ApiError {
  const { code, message } = (typeof raw === 'object' && raw !== null ? raw : {}) as { readonly code?: unknown; readonly message?: unknown };
  const text = typeof message === 'string' ? message.slice(0, 200) : 'the watch ended with an error';
  return new ApiError(code === 410 ? 'expired' : code === 429 || code === 503 ? 'throttled' : 'server', text, { status: typeof code === 'number' ? code : null });
}

function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  return `${path}?${new URLSearchParams(query).toString()}`;
}

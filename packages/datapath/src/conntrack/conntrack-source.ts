/**
 * Which endpoints have connections with which addresses: one pass over the kernel's connection table, of those that carry our mark.
 *
 * Invariant: a pass is told when the table was read to its end, else not at all: nothing dies by a part of it. One pass at a time.
 * A connection is its beginner's: one that came to a pod from outside keeps no address open for it. The address that was asked
 * for and the one behind DNAT both count.
 * Does not know: names, zombies, when a pass is due.
 */
import type { ConnectionSource, EndpointRecord, LiveConnection, Log } from '@tandem/core';
import { connectionStride, ConnectionWord, dumpConnections } from 'node-reuseport';
import { replyText } from '../links/reply.js';
import { type AddressKey, addressKey, keyOfText, textOfKey } from './row-address.js';
import { inTurns } from './turns.js';

/** A hundred thousand take a quarter of a second; a kernel that needs so long does something else. */
const DEADLINE_MS = 30_000;
/** Four times the kernel's own default bound. More is a problem, not a part. */
const CONNECTIONS_MAX = 1 << 20;

export interface ConntrackSourceOptions {
  /** Connections with `ct mark & mask == mark` are ours. */
  readonly mark: number;
  readonly mask: number;
  readonly log: Log;
}

export class ConntrackSource implements ConnectionSource {
  private readonly options: ConntrackSourceOptions;
  private endpoints: ReadonlyMap<AddressKey, string> = new Map();
  private running = false;
  private complaint: string | null = null;

  constructor(options: ConntrackSourceOptions) {
    this.options = options;
  }

  get isRunning(): boolean {
    return this.running;
  }

  /** Why the last pass could not be made, one line for an operator; null: it could. */
  get problem(): string | null {
    return this.complaint;
  }

  /** Whose addresses count from the next pass on. */
  setEndpoints(endpoints: readonly EndpointRecord[]): void {
    const uids = new Map<AddressKey, string>();
    for (const { uid, addresses } of endpoints) {
      for (const address of addresses) {
        const key = keyOfText(address);
        if (key !== null) uids.set(key, uid);
      }
    }
    this.endpoints = uids;
  }

  run(onFinished: (live: Iterable<LiveConnection>) => void): void {
    if (this.running) return;
    this.running = true;
    void this.pass().then((live) => {
      this.running = false;
      if (live !== null) onFinished(live);
    });
  }

  /** null: not read to its end. */
  private async pass(): Promise<readonly LiveConnection[] | null> {
    const { mark, mask } = this.options;
    const { endpoints } = this;
    try {
      const dump = await dumpConnections({ mark, mask, deadlineMs: DEADLINE_MS, connectionsMax: CONNECTIONS_MAX });
      if (dump.errno === 0) {
        const live = await liveConnections(dump.rows, endpoints);
        this.told(null);
        return live;
      }
      this.told(`the connection table cannot be read: ${replyText(dump)}`);
    } catch (error) {
      this.told(`the connection table cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    }
    return null;
  }

  private told(problem: string | null): void {
    if (problem === this.complaint) return;
    if (problem === null) this.options.log.info('the connection table is read again');
    else this.options.log.warn(problem, { effect: 'addresses that are no longer looked up stay open while this lasts' });
    this.complaint = problem;
  }
}

/** Each pair once. */
async function liveConnections(rows: Uint32Array, endpoints: ReadonlyMap<AddressKey, string>): Promise<readonly LiveConnection[]> {
  const addresses = new Map<string, Set<AddressKey>>();
  await inTurns(rows.length / connectionStride, (index) => {
    const at = index * connectionStride;
    const uid = endpoints.get(addressKey(rows, at + ConnectionWord.ORIGINAL_SOURCE));
    if (uid === undefined) return;
    let seen = addresses.get(uid);
    if (seen === undefined) addresses.set(uid, (seen = new Set()));
    seen.add(addressKey(rows, at + ConnectionWord.ORIGINAL_DESTINATION));
    seen.add(addressKey(rows, at + ConnectionWord.REPLY_SOURCE));
  });
  const pairs = [...addresses].flatMap(([endpointUid, keys]) => [...keys].map((key) => ({ endpointUid, key })));
  const live: LiveConnection[] = [];
  await inTurns(pairs.length, (index) => {
    const { endpointUid, key } = pairs[index];
    live.push({ endpointUid, address: textOfKey(key) });
  });
  return live;
}

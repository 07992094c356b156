/**
 * Follows links, routes and neighbours of the network namespace that this thread is in, by rtnetlink, and says where the addresses
 * that count are seen, and whether links that were pinned still stand.
 *
 * Invariant: what is said is what the kernel said last: it is asked for everything before `start` returns, and again when
 * events were lost, at most once in REDUMP_MS.
 * Does not know: policy, and who is told: `onChange` is called in a later turn, once for all events of a turn.
 */
import { readFileSync, statSync } from 'node:fs';
import { AppError, type EndpointLocation, type IsOwnAddress, type Log, type Place, type Snapshot } from '@tandem/core';
import { closeFd, NETLINK, netlinkExchange, type NetlinkReply, openNetlink, Readable, receiveNetlink } from 'node-reuseport';
import { LinkTable, type KnownLink } from './link-table.js';
import { replyText } from './reply.js';
import { Solicitor } from './solicitor.js';
import { DUMPS, forwardingRequest, ROUTE_GROUP, routeEvents, type NodeAddress, type RouteEvent } from './route-messages.js';

const EVENT_GROUPS = [
  ROUTE_GROUP.link, ROUTE_GROUP.neighbour, ROUTE_GROUP.address4, ROUTE_GROUP.route4, ROUTE_GROUP.rule4,
  ROUTE_GROUP.address6, ROUTE_GROUP.route6, ROUTE_GROUP.rule6,
];
/** Room for some ten thousand events while this thread is busy. */
const RECEIVE_BUFFER_BYTES = 8 << 20;
/** Larger than any event: the kernel makes them a page long. */
const EVENT_BYTES_MAX = 64 << 10;
/** Then the event loop gets its turn. */
const EVENTS_PER_TURN = 512;
const DUMP_DEADLINE_MS = 10_000;
const DUMP_BYTES_MAX = 64 << 20;
/** A dump that others' changes run through is asked for again; so often at once. */
const DUMP_TRIES = 8;
const REDUMP_MS = 1000;
/** Neighbours' ports are asked for one by one; those that find no room are asked for with the next change. */
const LOOKUPS_MAX = 256;
const LOOKUP_DEADLINE_MS = 2000;
const LOOKUP_BYTES_MAX = 64 << 10;
/** A bridge that filters VLANs learns what is untagged in this one (its default_pvid). */
const VLANS = [0, 1];

/** All of 127.0.0.0/8 is the node, whatever of it a link has. */
const LOOPBACK_V4 = '127.';

const EAGAIN = 11;
const ENOENT = 2;

export interface LinkWatchOptions {
  readonly log: Log;
  /** Where addresses are seen, or links and their names, have changed. */
  readonly onChange: () => void;
  /** Rules, or routes of a table other than main, have changed. */
  readonly onRules?: () => void;
}

export class LinkWatch {
  /** Of the running kernel. */
  readonly boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  /** Where an address is seen now; of bridged ones, those given to `setAddresses`. */
  readonly seen = { get: (address: string): readonly Place[] => this.table.places(address) };
  private readonly options: LinkWatchOptions;
  private readonly table = new LinkTable(linkId);
  private readonly solicitor: Solicitor;
  private readonly fd: number;
  private readable: Readable | null = null;
  private readonly buffer = new Uint8Array(EVENT_BYTES_MAX);
  private addresses: ReadonlySet<string> = new Set();
  private told = '';
  private isTelling = false;
  private haveRulesChanged = false;
  private isLooking = false;
  private isClosed = false;
  private dumpedAtMs = 0;
  private redumpTimer: NodeJS.Timeout | null = null;
  private dumpProblem: string | null = null;

  /** @throws AppError UNAVAILABLE where the kernel does not tell. */
  static async start(options: LinkWatchOptions): Promise<LinkWatch> {
    let watch: LinkWatch;
    try {
      watch = new LinkWatch(options);
    } catch (error) {
      throw new AppError('UNAVAILABLE', `links and routes cannot be followed: ${(error as Error).message}`, { cause: error });
    }
    await watch.dump();
    if (watch.dumpProblem !== null) {
      watch.close();
      throw new AppError('UNAVAILABLE', watch.dumpProblem);
    }
    return watch;
  }

  private constructor(options: LinkWatchOptions) {
    this.options = options;
    this.solicitor = new Solicitor(this.table, options.log);
    this.fd = openNetlink({ protocol: NETLINK.route, groups: EVENT_GROUPS, receiveBufferBytes: RECEIVE_BUFFER_BYTES });
  }

  /** The addresses that count: those of endpoints. One that is seen nowhere is asked for at bridges. */
  setAddresses(addresses: Iterable<string>): void {
    this.addresses = new Set(addresses);
    this.table.setAddresses(this.addresses);
    this.solicitor.setAddresses(this.addresses);
    this.tellSoon();
  }

  /** Whether the link that an endpoint was pinned to is still there, and no other with its index. */
  stands(location: EndpointLocation): boolean {
    return this.table.stands(location);
  }

  /**
   * The snapshot as it can be enforced here and now: without places whose link is gone or another. The same object where
   * all stand. Its hash is that of the given one.
   */
  standing(snapshot: Snapshot): Snapshot {
    if (snapshot.boot === undefined) return snapshot;
    const isOtherBoot = snapshot.boot !== this.boot;
    let isChanged = false;
    const endpoints = snapshot.endpoints.map((endpoint) => {
      const at = endpoint.at?.filter((location) => !isOtherBoot && this.table.stands(location));
      if (at?.length === endpoint.at?.length) return endpoint;
      isChanged = true;
      return { ...endpoint, at: at ?? [] };
    });
    return isChanged ? { ...snapshot, endpoints } : snapshot;
  }

  /** Addresses of endpoints whose place does not stand, in the order of endpoints. */
  displaced({ boot, endpoints }: Snapshot): readonly string[] {
    const isOtherBoot = boot !== this.boot;
    return endpoints.flatMap(({ at }) => (at ?? []).filter((location) => isOtherBoot || !this.table.stands(location)).map(({ address }) => address));
  }

  /** null: there is no such link. */
  nameOf(index: number): string | null {
    return this.table.link(index)?.name ?? null;
  }

  link(index: number): KnownLink | null {
    return this.table.link(index);
  }

  linkNamed(name: string): KnownLink | null {
    return this.table.allLinks().find((link) => link.name === name) ?? null;
  }

  /** Ports of bridges, by rising index. */
  bridgePorts(): readonly KnownLink[] {
    const isBridge = ({ master }: KnownLink): boolean => master !== 0 && this.table.link(master)?.kind === 'bridge';
    return this.table.allLinks().filter(isBridge).sort((a, b) => a.index - b.index);
  }

  /** Which addresses are this node's own, as of now. */
  ownAddresses(): IsOwnAddress {
    const own = new Set(this.table.ownAddresses().map(({ address }) => address));
    return (address) => own.has(address) || address.startsWith(LOOPBACK_V4);
  }

  /** This node's own. */
  nodeAddresses(): readonly NodeAddress[] {
    return this.table.ownAddresses();
  }

  /** What an operator should know, one sentence each; empty where all is well. */
  problems(): readonly string[] {
    const full = this.table.isFull ? ['more links, routes or neighbours than can be kept: pods among the rest are strangers'] : [];
    return [...full, ...(this.dumpProblem === null ? [] : [this.dumpProblem]), ...this.solicitor.problems()];
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.redumpTimer !== null) clearTimeout(this.redumpTimer);
    this.solicitor.close();
    this.readable?.close();
    closeFd(this.fd);
  }

  private follow(): void {
    this.readable = new Readable(this.fd, () => this.read());
  }

  private read(): void {
    for (let count = 0; count < EVENTS_PER_TURN; count++) {
      const length = receiveNetlink(this.fd, this.buffer);
      if (length === -EAGAIN) break;
      if (length < 0) {
        this.dumpSoon();
        break;
      }
      for (const event of routeEvents(this.buffer.subarray(0, length))) {
        if (event.kind === 'rules') this.haveRulesChanged = true;
        else this.table.apply(event);
      }
    }
    this.tellSoon();
  }

  /** Events were lost: what comes is followed meanwhile. */
  private dumpSoon(): void {
    if (this.redumpTimer !== null || this.isClosed) return;
    const waitMs = Math.max(0, this.dumpedAtMs + REDUMP_MS - performance.now());
    this.redumpTimer = setTimeout(() => {
      this.redumpTimer = null;
      void this.dump();
    }, waitMs);
    this.redumpTimer.unref();
  }

  /** Events that come meanwhile wait in the socket, and are applied to what was told. */
  private async dump(): Promise<void> {
    this.readable?.close();
    this.readable = null;
    const told: RouteEvent[] = [];
    let problem: string | null = null;
    for (const part of DUMPS) {
      const reply = await dumped(part.request);
      if (reply.errno === 0) told.push(...routeEvents(reply.messages));
      else if (reply.errno !== ENOENT || !part.mayBeAbsent) problem = `the kernel does not tell of ${part.name}: ${replyText(reply)}`;
    }
    if (this.isClosed) return;
    this.dumpedAtMs = performance.now();
    this.dumpProblem = problem;
    if (problem === null) {
      this.table.begin();
      for (const event of told) this.table.apply(event);
      this.table.end();
      this.haveRulesChanged = true;
    } else {
      this.dumpSoon();
    }
    this.follow();
    this.tellSoon();
  }

  private tellSoon(): void {
    if (this.isTelling || this.isClosed) return;
    this.isTelling = true;
    setImmediate(() => {
      this.isTelling = false;
      if (!this.isClosed) this.tell();
    });
  }

  private tell(): void {
    void this.lookUp();
    this.solicitor.start();
    const places = [...this.addresses].map((address) => [address, this.table.places(address)]);
    const state = JSON.stringify([places, this.table.allLinks()]);
    const { haveRulesChanged } = this;
    this.haveRulesChanged = false;
    if (state !== this.told) {
      this.told = state;
      this.options.onChange();
    }
    if (haveRulesChanged) this.options.onRules?.();
  }

  /** Asks bridges behind which port the neighbours are that count. One that the bridge has not seen is asked for with the next change. */
  private async lookUp(): Promise<void> {
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      for (const { bridge, mac } of this.table.unplaced().slice(0, LOOKUPS_MAX)) {
        for (const vlan of VLANS) {
          const request = forwardingRequest({ bridge, mac, vlan });
          const reply = await netlinkExchange({ protocol: NETLINK.route, request, deadlineMs: LOOKUP_DEADLINE_MS, bytesMax: LOOKUP_BYTES_MAX });
          if (this.isClosed) return;
          if (reply.errno !== 0) continue;
          for (const event of routeEvents(reply.messages)) this.table.apply(event);
          this.tellSoon();
          break;
        }
      }
    } catch (error) {
      // No socket is to be had just now; the next change asks again.
      this.options.log.warn('bridges cannot be asked for their ports', { reason: (error as Error).message });
    } finally {
      this.isLooking = false;
    }
  }
}

/** A dump, again for as long as others change what is dumped. */
async function dumped(request: Uint8Array): Promise<NetlinkReply> {
  for (let tries = 1; ; tries++) {
    const reply = await netlinkExchange({ protocol: NETLINK.route, request, deadlineMs: DUMP_DEADLINE_MS, bytesMax: DUMP_BYTES_MAX });
    if (reply.errno !== EAGAIN || tries === DUMP_TRIES) return reply;
  }
}

/** A link's inode in sysfs: one for each link that ever was. null where there is no sysfs. */
export function linkId({ name }: { readonly name: string }): string | null {
  try {
    return String(statSync(`/sys/class/net/${name}/`, { bigint: true }).ino);
  } catch {
    return null;
  }
}

/**
 * Has the kernel ask at bridges for endpoints' addresses that are seen nowhere: a pod that has not said anything yet is
 * in no neighbour table.
 *
 * Invariant: an address is asked for at once and then ever more seldom, at most SOLICITED_PER_TICK in a tick; none that is seen
 * somewhere, or that no bridge's prefix has. Does not know: events, places' meaning.
 */
import { type Log, parseAddress, parsePrefix, type Prefix } from '@tandem/core';
import { NETLINK, netlinkExchange } from 'node-reuseport';
import type { LinkTable } from './link-table.js';
import { joined } from './netlink-bytes.js';
import { replyText } from './reply.js';
import { forgetRequest, solicitRequest } from './route-messages.js';

const TICK_MS = 200;
const SOLICITED_PER_TICK = 64;
/** Ticks between two questions for one address: doubled each time. The kernel asks three times for each, a second apart. */
const PAUSE_TICKS_MAX = 16;
const DEADLINE_MS = 2000;
const REPLY_BYTES_MAX = 64 << 10;
const V4_OFFSET = 12;
const EPERM = 1;

interface Wanted {
  pauseTicks: number;
  dueAtTick: number;
}

export class Solicitor {
  private readonly table: LinkTable;
  private readonly log: Log;
  private wanted = new Map<string, Wanted>();
  private timer: NodeJS.Timeout | null = null;
  private tick = 0;
  private isClosed = false;
  private problem: string | null = null;

  constructor(table: LinkTable, log: Log) {
    this.table = table;
    this.log = log;
  }

  /** Those that are new are asked for with the next `start`. */
  setAddresses(addresses: ReadonlySet<string>): void {
    this.wanted = new Map([...addresses].map((address) => [address, this.wanted.get(address) ?? { pauseTicks: 1, dueAtTick: this.tick }]));
  }

  /** Asks for what is due, and goes on by itself while anything is missing. */
  start(): void {
    const missing = this.missing();
    if (missing.length === 0) {
      this.stop();
      return;
    }
    this.ask(missing);
    if (this.timer !== null || this.isClosed) return;
    this.timer = setInterval(() => {
      this.tick++;
      this.start();
    }, TICK_MS);
    this.timer.unref();
  }

  problems(): readonly string[] {
    return this.problem === null ? [] : [this.problem];
  }

  close(): void {
    this.isClosed = true;
    this.stop();
  }

  private stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  /** With the bridge at which each could be. */
  private missing(): { readonly address: string; readonly bridge: number }[] {
    const bridges = this.bridgePrefixes();
    if (bridges.length === 0) return [];
    const found: { address: string; bridge: number }[] = [];
    for (const [address, wanted] of this.wanted) {
      if (this.table.places(address).length > 0) {
        wanted.pauseTicks = 1;
        wanted.dueAtTick = this.tick;
        continue;
      }
      const own = parsePrefix(address);
      const home = bridges.find(({ prefix }) => own !== null && prefix.family === own.family && own.first >= prefix.first && own.last <= prefix.last);
      if (home !== undefined) found.push({ address, bridge: home.bridge });
    }
    return found;
  }

  private bridgePrefixes(): { readonly bridge: number; readonly prefix: Prefix }[] {
    const found: { bridge: number; prefix: Prefix }[] = [];
    for (const { interface: bridge, address, prefixBits } of this.table.ownAddresses()) {
      if (this.table.link(bridge)?.kind !== 'bridge') continue;
      const prefix = parsePrefix(`${address}/${prefixBits}`);
      if (prefix !== null) found.push({ bridge, prefix });
    }
    return found;
  }

  private ask(missing: readonly { readonly address: string; readonly bridge: number }[]): void {
    const due = missing.filter(({ address }) => this.wanted.get(address)!.dueAtTick <= this.tick).slice(0, SOLICITED_PER_TICK);
    const requests: Uint8Array[] = [];
    for (const { address, bridge } of due) {
      const wanted = this.wanted.get(address)!;
      const isFirst = wanted.pauseTicks === 1;
      wanted.dueAtTick = this.tick + wanted.pauseTicks;
      wanted.pauseTicks = Math.min(wanted.pauseTicks * 2, PAUSE_TICKS_MAX);
      const bytes = parseAddress(address)!;
      const destination = address.includes(':') ? bytes : bytes.subarray(V4_OFFSET);
      const at = { interface: bridge, address };
      const known = this.table.neighbour(bridge, address);
      // One whose MAC is known is looked up at the bridge first.
      const isLookedUp = isFirst && known !== null && known.mac !== null;
      if (known?.isStatic === true || isLookedUp) continue;
      // What is known is not true any more, since nobody with that MAC is at the bridge; the kernel would find out in some seconds.
      if (known !== null && known.mac !== null) requests.push(forgetRequest(at, destination));
      requests.push(solicitRequest(at, destination));
    }
    if (requests.length > 0) void this.send(requests);
  }

  private async send(requests: readonly Uint8Array[]): Promise<void> {
    try {
      const reply = await netlinkExchange({ protocol: NETLINK.route, request: joined(requests), deadlineMs: DEADLINE_MS, bytesMax: REPLY_BYTES_MAX });
      // Others are of the moment: the entry or the link has gone meanwhile.
      this.problem = reply.errno === EPERM ? `pods behind bridges cannot be asked for: ${replyText(reply)}; CAP_NET_ADMIN is needed` : null;
    } catch (error) {
      this.log.warn('pods behind bridges cannot be asked for', { reason: (error as Error).message });
    }
  }
}

/**
 * The datapath of one node, as a member has it: who may connect where, in the kernel.
 *
 * Both members follow links and keep what is open; the one that leads writes the tables, the redirect and what only one may write.
 * Invariant: what is enforced is a function of the snapshot in force, of the links that are there, and of the cache; so a leader
 * needs nothing from the one before it, and replaces what that left in one transaction: all but the addresses that the data planes have
 * opened, and perhaps told of before this thread heard; these end by their timeouts.
 */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type ConnectionSource, type EnforcementSeams, type Log, type LoggedPacket, type Mapping, monoMs, PolicyIndex, type Place, type Settings, type Snapshot,
} from '@tandem/core';
import { bootTimeMs } from 'node-reuseport';
import { ConntrackSource, cutConnections } from '../conntrack/index.js';
import { LinkWatch } from '../links/index.js';
import { LOG_GROUP, type Marks, marksFrom } from '../names.js';
import { OPENER_URL } from '../opener-url.js';
import { PacketLog } from '../packet-log/packet-log.js';
import { compileProgram, type Program } from '../program/index.js';
import { isOpenInKernel } from '../opener/read-elements.js';
import { type Divert, Redirect } from '../redirect/index.js';
import { dnsPorts } from './dns-ports.js';
import { Judge } from './judge.js';
import { Leadership } from './leadership.js';
import { OpenAddresses } from './open-addresses.js';
import { Programmer } from './programmer.js';

export interface NodeDatapathOptions {
  readonly settings: Settings;
  readonly log: Log;
  /** Where pods' addresses are seen has changed. */
  readonly onSeen?: () => void;
}

/** Problems of one kind that are shown; the rest are counted. */
const PROBLEMS_MAX = 20;
/** How long a policy's enforcement is waited for at most. */
const ENFORCE_MS = 3000;
/** Longer than the kernel collects packets for. */
const FORMER_LOG_MS = 100;
/** A pass over a hundred thousand connections takes a quarter of a second. */
const CUT_EVERY_MS = 2000;
/** Who ends waits so long for what is being written. */
const LEAVE_MS = 1000;

const NOTHING_OPEN = new Map<string, never>();

export class NodeDatapath {
  readonly opener = OPENER_URL;
  private readonly settings: Settings;
  private readonly log: Log;
  private readonly marks: Marks;
  private readonly watch: LinkWatch;
  private readonly redirect: Redirect;
  private readonly programmer: Programmer;
  private readonly conntrack: ConntrackSource;
  /** Null: flows are off. */
  private readonly packetLog: PacketLog | null;
  /** What the tables of the other member log, from its end until ours are written. */
  private readonly formerLog: PacketLog | null;
  private formerTimer: NodeJS.Timeout | null = null;
  private leadership: Leadership | null = null;
  private hasLeft = false;
  /** Of the policies that programs are of. */
  private readonly hashes = new WeakMap<Program, string>();
  private seams: EnforcementSeams | null = null;
  private open: OpenAddresses | null = null;
  private snapshot: Snapshot | null = null;
  private index: PolicyIndex | null = null;
  private openFailures = 0;
  private cutCount = 0;
  private cutAtMs = -Infinity;
  private cutTimer: NodeJS.Timeout | null = null;
  private isCutOwed = false;
  /** Connections without our mark, too: they began while the tables were not there. */
  private isCutOfAllOwed = false;
  private cutProblem: string | null = null;
  /** As told last. */
  private displaced = '';
  /** Has not begun, so it takes with it what changes now. */
  private reprogramming: Promise<void> | null = null;
  /** Links and routes of the last one that has begun are seen to. */
  private arranged: Promise<unknown> = Promise.resolve();

  /** @throws AppError UNAVAILABLE naming the privilege or kernel feature that is missing, and the remedy. */
  static async start(options: NodeDatapathOptions): Promise<NodeDatapath> {
    const marks = marksFrom(options.settings.packetMark);
    const changed = { links: (): void => undefined, rules: (): void => undefined };
    const watch = await LinkWatch.start({ log: options.log, onChange: () => { changed.links(); }, onRules: () => { changed.rules(); } });
    try {
      const redirect = await Redirect.prepare({ log: options.log, watch, marks, table: options.settings.routeTable, isTransparentUpstream: options.settings.clientAddressUpstream, families: [...new Set(options.settings.listen.map(({ family }) => family))] });
      const datapath = new NodeDatapath(options, { marks, watch, redirect });
      changed.links = () => {
        options.onSeen?.();
        datapath.tellDisplaced();
        void datapath.reprogramSoon();
      };
      changed.rules = () => { void datapath.reprogramSoon(); };
      return datapath;
    } catch (error) {
      watch.close();
      throw error;
    }
  }

  private constructor({ settings, log }: NodeDatapathOptions, { marks, watch, redirect }: { marks: Marks; watch: LinkWatch; redirect: Redirect }) {
    this.settings = settings;
    this.log = log;
    this.marks = marks;
    this.watch = watch;
    this.redirect = redirect;
    this.conntrack = new ConntrackSource({ mark: marks.connection + marks.named, mask: marks.connection + marks.named, log });
    const read = {
      nowMs: () => monoMs(bootTimeMs()),
      onPackets: (packets: readonly LoggedPacket[]) => this.seams?.onPackets(packets),
      onLost: (packets: number) => this.seams?.onPacketsLost(packets),
    };
    this.packetLog = !settings.enableHubble ? null : new PacketLog({ ...read, group: LOG_GROUP[settings.role], log });
    // That a leader which hangs has its group still is nothing to tell of.
    const debug: Log['debug'] = (message, fields) => { log.debug(message, fields); };
    const former = LOG_GROUP[settings.role === 'agent' ? 'dns-proxy' : 'agent'];
    this.formerLog = !settings.enableHubble ? null : new PacketLog({ ...read, group: former, log: { debug, info: debug, warn: debug, error: debug } });
    this.programmer = new Programmer({
      log,
      mayWrite: () => {
        this.leadership?.look();
        return this.leadership?.leads ?? false;
      },
      open: () => this.open?.bySet() ?? NOTHING_OPEN,
      onWritten: (program, isWhole) => { this.written(program, isWhole); },
    });
  }

  get connections(): ConnectionSource {
    return this.conntrack;
  }

  /** Where addresses are seen, for whoever pins endpoints to places. */
  get places(): { readonly boot: string; readonly seen: { get(address: string): readonly Place[] | undefined } } {
    return this.watch;
  }

  get problems(): readonly string[] {
    const own = [
      ...[this.leadership?.problem ?? []].flat(),
      ...(this.programmer.problem === null ? [] : [`the tables of the datapath are behind the policy: ${this.programmer.problem}`]),
      ...[this.packetLog?.problem ?? []].flat(), ...this.watch.problems(), ...this.redirect.problems(), ...[this.conntrack.problem ?? [], this.cutProblem ?? []].flat(),
    ];
    const shown = own.slice(0, PROBLEMS_MAX).map((problem) => `datapath: error: ${problem}`);
    return own.length > PROBLEMS_MAX ? [...shown, `datapath: error: ${own.length - PROBLEMS_MAX} more`] : shown;
  }

  get counts() {
    const { changes, failures, repairs } = this.programmer;
    const ruleSets = new Set(this.snapshot?.ruleSets.flatMap(({ rules }, i) => (rules.some(({ dnsPatterns }) => dnsPatterns !== null) ? [i] : [])));
    const redirected = this.snapshot?.endpoints.filter(({ ruleSet }) => ruleSet !== null && ruleSets.has(ruleSet)).length ?? 0;
    return {
      isLeader: this.leadership?.leads ?? false, changes, failures: failures + this.openFailures, repairs, open: this.open?.size ?? 0, cut: this.cutCount,
      redirects: redirected,
    };
  }

  attach(seams: EnforcementSeams): void {
    this.seams = seams;
    // Before the first query is read: the links of an earlier run are there.
    this.tellDiverted();
    this.open = new OpenAddresses(this.settings, seams.cache, (errno, message) => {
      this.openFailures++;
      this.log.warn('addresses could not be opened or closed', { errno, reason: message });
    });
  }

  isOwn(address: string): boolean {
    return this.watch.ownAddresses()(address);
  }

  /** Resolves when the tables say it, or the other member writes them, or they cannot be written within ENFORCE_MS. */
  async enforce(snapshot: Snapshot): Promise<void> {
    this.snapshot = snapshot;
    this.index = null;
    this.tellDisplaced();
    this.watch.setAddresses(snapshot.endpoints.flatMap(({ addresses }) => addresses));
    this.conntrack.setEndpoints(snapshot.endpoints);
    this.open?.setPolicy(snapshot);
    this.lead(snapshot);
    let timer: NodeJS.Timeout | null = null;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ENFORCE_MS);
    });
    await Promise.race([this.reprogramSoon(), late]);
    if (timer !== null) clearTimeout(timer);
  }

  learned(mappings: readonly Mapping[]): void {
    this.open?.learned(mappings);
  }

  taught(mappings: readonly Mapping[]): void {
    this.open?.taught(mappings);
  }

  shrunk(mayClose: boolean, isCleaned: boolean): void {
    void this.open?.refresh(mayClose, isCleaned);
  }

  async leave(): Promise<void> {
    this.endLead();
    await Promise.race([this.programmer.settled(), pause(LEAVE_MS, undefined, { ref: false })]);
  }

  close(): void {
    this.endLead();
    if (this.cutTimer !== null) clearTimeout(this.cutTimer);
    this.packetLog?.stop();
    this.leaveFormerLog(0);
    this.open?.close();
    this.redirect.close();
    this.watch.close();
  }

  private endLead(): void {
    this.hasLeft = true;
    this.leadership?.close();
    this.programmer.follow();
  }

  /** Not before there is a policy: who has none must not keep the other from writing its own. */
  private lead(snapshot: Snapshot): void {
    if (this.hasLeft) return;
    this.leadership ??= new Leadership(this.settings.runDir, {
      onChange: (leads) => { this.led(leads); }, onRewritten: () => { this.reopened(); }, isSource: this.settings.role === 'agent',
    });
    this.leadership.want(snapshot.hash);
    this.leadership.look();
  }

  private led(leads: boolean): void {
    this.log.info(leads ? 'this member writes the datapath' : 'the other member writes the datapath');
    if (leads) {
      this.packetLog?.start();
      this.formerLog?.start();
      this.programmer.lead();
      void this.reprogramSoon();
    } else {
      this.packetLog?.stop();
      this.leaveFormerLog(0);
      this.programmer.follow();
    }
  }

  /** The kernel hands over what it has collected a moment later. */
  private leaveFormerLog(inMs: number): void {
    if (this.formerTimer !== null) clearTimeout(this.formerTimer);
    this.formerTimer = inMs === 0 ? null : setTimeout(() => { this.formerLog?.stop(); }, inMs);
    this.formerTimer?.unref();
    if (inMs === 0) this.formerLog?.stop();
  }

  private tellDiverted(): Divert | null {
    const divert = this.redirect.divert();
    if (divert !== null) this.seams?.onDiverted(divert.outer);
    return divert;
  }

  /** At once, and by both members: the tables follow. */
  private tellDisplaced(): void {
    const displaced = this.snapshot === null ? [] : this.watch.displaced(this.snapshot);
    const text = displaced.join();
    if (text === this.displaced) return;
    this.displaced = text;
    this.seams?.onDisplaced(displaced);
  }

  /** Once for all that changes before it begins. Resolves when it is done with, for better or worse. */
  private reprogramSoon(): Promise<void> {
    this.reprogramming ??= this.arranged.then(() => new Promise(setImmediate)).then(() => this.reprogram()).catch((error: unknown) => {
      this.log.error('the datapath could not be brought up to date; it is tried again with the next change', { reason: String(error) });
    });
    return this.reprogramming;
  }

  private async reprogram(): Promise<void> {
    // What changed until now is in what is written; what changes from here on has its own turn.
    this.reprogramming = null;
    const compiling = this.compile();
    this.arranged = compiling.catch(() => undefined);
    const program = await compiling;
    if (program !== null) await this.programmer.want(program);
  }

  /** null: it is not ours to write. */
  private async compile(): Promise<Program | null> {
    const { snapshot } = this;
    if (snapshot === null) return null;
    const standing = this.watch.standing(snapshot);
    // Also those whose place is gone: whoever has their addresses now is to be refused, not to be left without an answer.
    const bridges = new Set(snapshot.endpoints.flatMap(({ at }) => (at ?? []).flatMap(({ bridge }) => bridge ?? [])));
    const isBridged = bridges.size > 0;
    if (this.leadership?.leads === true) await this.redirect.want({ ports: dnsPorts(standing, this.settings.clientAddressUpstream), isBridged });
    const divert = this.tellDiverted();
    if (this.leadership?.leads !== true) return null;
    const { listen, grantScope, auditMode, podCidrs, clientAddressUpstream, enableHubble, role } = this.settings;
    const at = (family: 4 | 6) => listen.find((one) => one.family === family) ?? null;
    const program = compileProgram({
      snapshot: standing, divert, nameOf: (index) => this.watch.nameOf(index),
      bridgePorts: this.watch.bridgePorts().filter(({ master }) => bridges.has(master)).map(({ index }) => index), marks: this.marks, redirectTo: { v4: at(4), v6: at(6) },
      grantScope, auditMode, logGroup: enableHubble ? LOG_GROUP[role] : null, podCidrs, isTransparentUpstream: clientAddressUpstream,
    });
    this.hashes.set(program, snapshot.hash);
    return program;
  }

  private written(program: Program, isWhole: boolean): void {
    this.leadership?.wrote(this.hashes.get(program) ?? '', isWhole);
    if (isWhole) {
      this.leaveFormerLog(FORMER_LOG_MS);
      this.reopened();
    } else this.open?.written(false);
    this.isCutOwed = true;
    this.isCutOfAllOwed ||= isWhole;
    this.cutSoon();
  }

  /** Sets may have come filled with no more than the leader knew; what the data planes opened meanwhile, or the other member knows, may be missing. */
  private reopened(): void {
    this.seams?.onReopened();
    this.open?.written(true);
  }

  /** Connections that policy allows no more end. What changes while they are looked through has them looked through again, after a while. */
  private cutSoon(): void {
    if (this.settings.auditMode || this.cutTimer !== null) return;
    this.cutTimer = setTimeout(() => {
      void this.cut().finally(() => {
        this.cutTimer = null;
        this.cutAtMs = performance.now();
        if (this.isCutOwed) this.cutSoon();
      });
    }, Math.max(0, this.cutAtMs + CUT_EVERY_MS - performance.now()));
    this.cutTimer.unref();
  }

  private async cut(): Promise<void> {
    const isOfAll = this.isCutOfAllOwed;
    this.isCutOwed = false;
    this.isCutOfAllOwed = false;
    const { snapshot, open, marks } = this;
    if (snapshot === null || open === null || this.leadership?.leads !== true) return;
    this.index ??= PolicyIndex.build(snapshot, null);
    const judge = new Judge({ index: this.index, scope: this.settings.grantScope, isOpen: (element) => open.has(element), isOwn: this.watch.ownAddresses() });
    try {
      // Those with the redirect's bit are the proxy's own questions.
      const { cut } = await cutConnections({
        mark: isOfAll ? 0 : marks.connection, mask: (isOfAll ? 0 : marks.connection) + marks.redirect, cutMark: marks.cut,
        judge: (flow) => judge.judge(flow), lookCloser: (flow) => judge.allowsInKernel(flow, isOpenInKernel),
      });
      this.cutCount += cut;
      this.cutProblem = null;
    } catch (error) {
      this.cutProblem = error instanceof Error ? error.message : String(error);
      this.log.warn(this.cutProblem);
      this.isCutOwed = true;
      this.isCutOfAllOwed ||= isOfAll;
    }
  }
}

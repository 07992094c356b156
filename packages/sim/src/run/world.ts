/**
 * One simulated node: kernel, network, disks, upstreams, and the two members, under one seed. Whoever drives it (a seed's
 * plan or a story) asks questions and does harm through the methods here.
 *
 * Invariant: nothing here decides for a member; what a member cannot know is not told to it.
 */
import type { PathSettings, Role } from '@tandem/core';
import { RCODE } from '@tandem/dns';
import { EventQueue } from '../base/event-queue.js';
import { RandomStream } from '../base/random-stream.js';
import { EVENT, type Listener, Transcript } from '../base/transcript.js';
import { ChannelEnd } from '../member/channel.js';
import { Control } from '../member/control.js';
import type { Plane } from '../member/plane.js';
import { SimProcess } from '../member/process.js';
import type { Session } from '../member/session.js';
import { UPSTREAMS } from '../member/upstreams.js';
import { SimClock } from '../models/clock.js';
import { Datapath, type DatapathMode } from '../models/datapath.js';
import type { Datagram, Flow, Query } from '../models/datagram.js';
import { Disk } from '../models/disk.js';
import { JournalPool } from '../models/journal-pool.js';
import { LossyLink } from '../models/lossy-link.js';
import type { Outlet } from '../models/reactor.js';
import { ReuseportSwitch } from '../models/reuseport-switch.js';
import { BEHAVIOURS, Upstream, type Zone } from '../models/upstream.js';
import { Checkers } from './checkers.js';
import { Policies } from './policies.js';
import { type Plant, plantOf } from './plants.js';

export interface WorldOptions {
  readonly seed: number;
  readonly slots: number;
  readonly maxAddressesPerName: number;
  readonly concurrencyLimit: number;
  readonly concurrencyGraceMs: number;
  readonly responseMaxDelayMs: number;
  readonly minTtlSeconds: number;
  readonly datapath: DatapathMode;
  readonly plant: Plant;
  readonly zone: Zone;
  readonly onEvent: Listener | null;
}

export const ROLES: readonly Role[] = ['agent', 'dns-proxy'];

/** Enough for the names of a run. */
const RECENT_SETS = 4096;

/** A dead process's connections end so late at most. */
const EOF_MS_MAX = 8;

/** Compiling takes longer than a run: done once, since nothing changes it. */
let compiled: Policies | null = null;

export function defaults(seed: number): WorldOptions {
  return {
    seed,
    slots: 256,
    maxAddressesPerName: 1000,
    concurrencyLimit: 0,
    concurrencyGraceMs: 0,
    responseMaxDelayMs: 100,
    minTtlSeconds: 0,
    datapath: 'none',
    plant: plantOf(null),
    zone: { address: (name) => name + 1, ttlSeconds: () => 60 },
    onEvent: null,
  };
}

export class World {
  readonly options: WorldOptions;
  readonly queue = new EventQueue();
  readonly clock = new SimClock(this.queue);
  readonly journals = new JournalPool();
  readonly random: RandomStream;
  readonly transcript: Transcript;
  readonly kernel: ReuseportSwitch;
  readonly upstream: Upstream;
  readonly datapath: Datapath;
  readonly link: LossyLink;
  readonly policies: Policies;
  readonly checkers: Checkers;
  readonly plant: Plant;
  /** Of the agent's source. */
  revision = 1;
  isSourceThere = true;
  private readonly disks: Readonly<Record<Role, Disk>>;
  private readonly controls = new Map<Role, Control>();
  private readonly open = new Set<Query>();
  private readonly streamsOf = new Map<number, Set<() => void>>();
  private readonly successorMs = new Map<Role, number>();
  private processes = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = new RandomStream(options.seed);
    this.transcript = new Transcript(options.onEvent);
    this.plant = options.plant;
    this.kernel = new ReuseportSwitch((datagram) => this.note(EVENT.lost, datagram.query.number));
    this.upstream = new Upstream({
      queue: this.queue,
      random: this.random.fork('upstream'),
      zone: options.zone,
      onBehaviour: (behaviour, query) => this.note(EVENT.upstream, query.number, BEHAVIOURS.indexOf(behaviour)),
    });
    this.datapath = new Datapath(this.queue, this.random.fork('datapath'));
    this.datapath.mode = options.datapath;
    this.link = new LossyLink(this.queue, this.random.fork('link'));
    this.policies = compiled ??= new Policies();
    this.checkers = new Checkers(this);
    this.disks = { agent: new Disk(this.queue), 'dns-proxy': new Disk(this.queue) };
  }

  diskOf(role: Role): Disk {
    return this.disks[role];
  }

  /** The member's process, null while there is none. */
  member(role: Role): Control | null {
    return this.controls.get(role) ?? null;
  }

  note(event: number, a = 0, b = 0, c = 0): void {
    this.transcript.add(this.queue.nowMs, event, a, b, c);
  }

  run(untilMs: number): void {
    this.queue.runUntil(untilMs);
  }

  // ---- members

  start(role: Role): void {
    if (this.controls.has(role)) return;
    // Nobody is told of a process's end before its descriptors are closed: a successor cannot overtake that.
    const readyMs = this.successorMs.get(role) ?? 0;
    if (this.queue.nowMs < readyMs) {
      this.queue.at(readyMs, () => this.start(role));
      return;
    }
    const number = ++this.processes;
    const process: SimProcess = new SimProcess({
      role,
      number,
      random: this.random.fork(`process ${number}`),
      queue: this.queue,
      onDeath: () => this.died(process),
    });
    const control = new Control(this, process);
    this.controls.set(role, control);
    this.note(EVENT.start, number, ROLES.indexOf(role));
    control.start();
  }

  kill(role: Role): void {
    const control = this.member(role);
    if (control === null) return;
    this.note(EVENT.killed, control.process.number);
    control.process.kill();
  }

  pause(role: Role): void {
    const control = this.member(role);
    if (control === null) return;
    this.note(EVENT.pause, control.process.number);
    control.process.stop();
  }

  resume(role: Role): void {
    const control = this.member(role);
    if (control === null) return;
    this.note(EVENT.resume, control.process.number);
    control.process.goOn();
  }

  drain(role: Role): void {
    const control = this.member(role);
    control?.process.run(() => control.stop());
  }

  /** An orderly end. */
  exited(process: SimProcess): void {
    this.note(EVENT.exit, process.number);
    process.kill();
  }

  /** Both serve, hold each other and can go on without the other. */
  get isRedundant(): boolean {
    return ROLES.every((role) => {
      const control = this.member(role);
      if (control?.plane?.isServing !== true || control.process.isStopped || control.snapshot === null) return false;
      return control.plane.handover.isRedundant && control.plane.handover.adopted === 0;
    });
  }

  publish(revision: number): void {
    this.revision = revision;
    this.note(EVENT.publish, revision);
    this.member('agent')?.sourceChanged();
  }

  private died(process: SimProcess): void {
    const control = this.member(process.role);
    this.controls.delete(process.role);
    this.successorMs.set(process.role, this.queue.nowMs + EOF_MS_MAX + 1);
    this.checkers.onGone(process.number, control);
    control?.plane?.died(process.random.between(0, EOF_MS_MAX));
    this.streamsOf.get(process.number)?.forEach((close) => close());
    this.streamsOf.delete(process.number);
  }

  // ---- between members

  dialHandover(from: Role): ChannelEnd | null {
    const peer = this.member(otherOf(from));
    if (peer?.plane?.listens !== true) return null;
    const [ours, theirs] = ChannelEnd.pair(this.queue);
    peer.plane.accept(theirs);
    return ours;
  }

  /** dns-proxy dials the agent. */
  dialLink(caller: Control): void {
    const agent = this.member('agent');
    if (agent?.takesLinks !== true) return;
    const sessions: Session[] = [];
    const ends = [caller, agent].map((control, end) => ({
      onMessage: (bytes: Uint8Array) => control.process.run(() => sessions[end].receive(bytes)),
      onClosed: () => control.process.run(() => sessions[end].ended()),
    }));
    const stream = this.link.connect(ends[0], ends[1]);
    if (stream === null) return;
    [caller, agent].forEach((control, end) => {
      const close = (): void => stream.close(end);
      let closers = this.streamsOf.get(control.process.number);
      if (closers === undefined) this.streamsOf.set(control.process.number, (closers = new Set()));
      closers.add(close);
      sessions.push(control.attach({ send: (bytes) => stream.send(end, bytes), close }));
    });
    [caller, agent].forEach((control, end) => control.process.run(() => sessions[end].start()));
  }

  // ---- clients and upstreams

  /** Questions that have no answer yet, oldest first. */
  openQueries(): readonly Query[] {
    return [...this.open];
  }

  get openCount(): number {
    return this.open.size;
  }

  send(datagram: Datagram): void {
    const { query, flow } = datagram;
    this.open.add(query);
    flow.open.set(query.id, query);
    this.note(EVENT.query, query.number, flow.number, query.name);
    this.kernel.deliver(datagram);
  }

  outletOf(plane: Plane): Outlet {
    const number = plane.process.number;
    return {
      reply: (datagram, socket, offset, length) => {
        this.note(EVENT.reply, number, datagram.query.number, socket.number);
        this.toClient(datagram.flow, plane.journal.bytes, offset, length);
      },
      ask: (slot, offset, length, port) => {
        const { query } = plane.journal.datagrams[slot]!;
        this.checkers.onAsk(plane, query);
        this.note(EVENT.ask, number, query.number, port);
        const bytes = plane.journal.bytes.slice(offset, offset + length);
        this.upstream.ask({ bytes, query, server: plane.serverOf(slot), port, receiver: plane });
      },
      excuse: ({ query }) => {
        query.excused++;
      },
    };
  }

  pathSettings(slotsForQueries: number): PathSettings {
    const { concurrencyLimit, concurrencyGraceMs, responseMaxDelayMs, minTtlSeconds } = this.options;
    return {
      upstreams: UPSTREAMS,
      policyPort: 53,
      unknownEndpoint: 'refuse',
      auditMode: false,
      rejectRcode: RCODE.refused,
      searchDomains: null,
      dnsCompression: true,
      concurrencyLimit,
      concurrencyGraceMs,
      responseMaxDelayMs,
      slotsForQueries,
      minTtlSeconds,
      recentSets: RECENT_SETS,
    };
  }

  private toClient(flow: Flow, bytes: Uint8Array, offset: number, length: number): void {
    const id = (bytes[offset] << 8) | bytes[offset + 1];
    const query = flow.open.get(id);
    if (query === undefined) this.checkers.broken(`flow ${flow.number} got an answer with ID ${id}, which it never asked under`);
    this.open.delete(query);
    this.note(EVENT.client, query.number, bytes[offset + 3] & 0x0f, length);
    this.checkers.onReply(query, bytes, offset, length);
  }
}

export function otherOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

/** Another member's journal and sockets as core's takeover sees them; as host's MappedJournal and HeldListeners. */
import type { HeldJournal, HeldSockets, Taken } from '@tandem/core';
import type { Journal } from '../models/journal.js';
import type { MappingJournal } from '../models/mapping-journal.js';
import type { Reactor } from '../models/reactor.js';
import type { SharedSocket } from '../models/reuseport-switch.js';
import { type TakeDefects, Thief } from '../models/take.js';
import type { LearnedRecord } from './plane.js';

export interface HeldDefects extends TakeDefects {
  /** What a dead member learned last is not passed on. */
  readonly forgetsMappings: boolean;
  /** A member that leaves does not mind that its peer leaves, too. */
  readonly leavesTogether: boolean;
}

export interface HeldOptions {
  readonly reactor: Reactor;
  readonly base: number;
  readonly defects: HeldDefects;
  readonly nowMs: () => number;
  /** What the owner learned last. */
  readonly lastMappings: MappingJournal<LearnedRecord>;
  readonly onMapping: (record: LearnedRecord) => void;
}

export class SimHeldJournal implements HeldJournal {
  private readonly journal: Journal;
  private readonly options: HeldOptions;
  private readonly thief: Thief;

  constructor(journal: Journal, options: HeldOptions) {
    this.journal = journal;
    this.options = options;
    this.thief = new Thief(options.reactor, journal, options.base, options.defects);
  }

  get taken(): readonly number[] {
    return this.thief.taken;
  }

  heartbeat(): number {
    return this.journal.heartbeat;
  }

  reading(): number {
    return this.journal.cursor - 1;
  }

  /** Who is killed has no time to say so; who meets a fault of its own has. */
  isDying(): boolean {
    return this.journal.isDying;
  }

  learnLast(): void {
    const { lastMappings, onMapping, defects } = this.options;
    if (!defects.forgetsMappings) for (const record of lastMappings.records()) onMapping(record);
  }

  owed(): readonly number[] {
    return this.journal.owed();
  }

  mayTake(): boolean {
    return true;
  }

  mustTake(): boolean {
    return false;
  }

  take(slot: number): Taken {
    return this.thief.take(slot, this.options.nowMs());
  }

  release(): void {
    // The mapping is this process's own: nobody else sees that it is gone.
  }
}

export class SimHeldSockets implements HeldSockets {
  private readonly socket: SharedSocket;
  private readonly options: HeldOptions;
  private readonly onReading: (isReading: boolean) => void;

  /** Takes the descriptor over. */
  constructor(socket: SharedSocket, options: HeldOptions, onReading: (isReading: boolean) => void) {
    this.socket = socket;
    this.options = options;
    this.onReading = onReading;
    options.reactor.addListener(options.base, socket, false);
  }

  read(): void {
    this.onReading(true);
    this.options.reactor.setReceiving(this.options.base, true);
  }

  pause(): void {
    this.onReading(false);
    this.options.reactor.setReceiving(this.options.base, false);
  }

  takeConnections(): boolean {
    return true;
  }

  awake(): void {
    // The model has no TCP connections.
  }

  close(): void {
    this.options.reactor.removeListener(this.options.base);
    this.socket.close();
  }
}

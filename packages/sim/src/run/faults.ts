/**
 * Harm under a seed. Faults of a *member* (kill, stop, starve, restart, a query of death) come one at a time: the next not
 * before the pair is redundant again, which is what is promised. All else (link, disks, upstreams, policy, cleans)
 * comes whenever it likes.
 */
import type { Role } from '@tandem/core';
import type { RandomStream } from '../base/random-stream.js';
import { EVENT } from '../base/transcript.js';
import { PAUSE_ONLY, type Point, POINTS } from '../models/code-points.js';
import { HONEST, LYING, type Manners, SILENT, SLOW } from '../models/upstream.js';
import type { Clients } from './clients.js';
import { NAMES, REVISIONS_MAX, uidOf } from './policies.js';
import { ROLES, type World } from './world.js';

const LOOK_MS = 10;
/** Once redundant, a pair has settled: a mapping needs so long to be with both. */
const SETTLE_MS = 5;
/** Of policy; fewer than there are revisions. */
const CHANGES_MAX = 5;
/** In each seed, whatever becomes of its members. */
const FAULTS_MIN = 3;

type MemberFault = 'kill' | 'kill-at' | 'stop' | 'stop-at' | 'stop-then-kill' | 'restart' | 'restart-both' | 'starve' | 'poison';
const MEMBER_FAULTS: readonly MemberFault[] = ['kill', 'kill-at', 'kill-at', 'stop', 'stop-at', 'stop-at', 'stop-then-kill', 'restart', 'restart-both', 'starve', 'poison'];

export class Faults {
  /** Of members. */
  memberFaults = 0;
  otherFaults = 0;
  private readonly world: World;
  private readonly clients: Clients;
  private readonly random: RandomStream;
  private isOver = false;
  private isBusy = false;

  constructor(world: World, clients: Clients) {
    this.world = world;
    this.clients = clients;
    this.random = world.random.fork('faults');
  }

  /** Does harm for so long. */
  start(forMs: number): void {
    this.world.queue.after(this.random.between(0, 400), () => this.nextMemberFault());
    const others = FAULTS_MIN + this.random.int(5);
    for (let i = 0; i < others; i++) this.world.queue.after(this.random.between(0, forMs), () => this.otherFault());
    const changes = this.random.int(CHANGES_MAX);
    for (let i = 0; i < changes; i++) {
      this.world.queue.after((forMs * (i + this.random.between(0, 1))) / changes, () => this.publishNext());
    }
  }

  /** No more harm, and what was harmed is mended. */
  stop(): void {
    const { world } = this;
    this.isOver = true;
    world.link.heal();
    world.upstream.manners = HONEST;
    world.isSourceThere = true;
    for (const role of ROLES) {
      world.diskOf(role).isSlow = false;
      world.diskOf(role).isFull = false;
      const control = world.member(role);
      if (control === null) {
        world.start(role);
        continue;
      }
      control.plane?.points.disarm();
      control.process.isStarved = false;
      if (control.process.isStopped) world.resume(role);
    }
  }

  // ---- members, one at a time

  private nextMemberFault(): void {
    if (this.isOver) return;
    if (this.isBusy || !this.world.isRedundant) {
      this.world.queue.after(LOOK_MS, () => this.nextMemberFault());
      return;
    }
    this.isBusy = true;
    this.memberFaults++;
    this.do(this.random.pick(MEMBER_FAULTS), this.random.pick(ROLES));
    this.world.queue.after(LOOK_MS, () => this.nextMemberFault());
  }

  private do(fault: MemberFault, role: Role): void {
    const { world, random } = this;
    world.note(EVENT.fault, MEMBER_FAULTS.indexOf(fault), ROLES.indexOf(role));
    switch (fault) {
      case 'kill':
        world.kill(role);
        this.startAgain(role);
        break;
      case 'kill-at':
        this.at(role, false);
        break;
      case 'stop':
        this.pauseFor(role, random.between(1, 900));
        break;
      case 'stop-at':
        this.at(role, true);
        break;
      case 'stop-then-kill':
        world.pause(role);
        world.queue.after(random.between(1, 600), () => {
          world.kill(role);
          this.startAgain(role);
        });
        break;
      case 'restart':
        world.drain(role);
        this.awaitEnd(role);
        break;
      case 'restart-both':
        this.restartBoth(random.between(0, 20));
        break;
      case 'starve':
        this.starve(role, random.between(50, 900));
        break;
      case 'poison':
        this.clients.askPoison();
        this.awaitAnyEnd(300);
    }
  }

  /** Killed or stopped at a code point; stealing has its points in the other member's turns. */
  private at(role: Role, stops: boolean): void {
    const { world, random } = this;
    const control = world.member(role);
    const plane = control?.plane;
    if (control === null || control === undefined || plane === null || plane === undefined) return this.done(0);
    const points: readonly Point[] = stops ? POINTS : POINTS.filter((point) => !PAUSE_ONLY.includes(point));
    const point = random.pick(points);
    const { process } = control;
    const forMs = random.between(1, 600);
    plane.points.arm(point, 1 + random.int(40), () => {
      world.note(stops ? EVENT.pause : EVENT.killed, process.number, 1, POINTS.indexOf(point));
      if (!stops) process.die();
      process.stopHere(forMs);
      world.note(EVENT.resume, process.number);
    });
    // Points of stealing are passed only when there is something to steal: the thief is hit, its victim merely stopped.
    const isThief = point.startsWith('steal');
    if (isThief) this.pauseOther(role, random.between(40, 400));
    world.queue.after(isThief ? 500 : 900, () => {
      plane.points.disarm();
      if (stops) this.awaitRunning(role);
      else if (world.member(role) === control) this.done(0);
      else this.startAgain(role);
    });
  }

  /** A second fault, which the first excuses: only a member that is stopped, not one that is lost. */
  private pauseOther(role: Role, forMs: number): void {
    const other = role === 'agent' ? 'dns-proxy' : 'agent';
    this.world.pause(other);
    this.world.queue.after(forMs, () => this.world.resume(other));
  }

  private pauseFor(role: Role, forMs: number): void {
    this.world.pause(role);
    this.world.queue.after(forMs, () => {
      this.world.resume(role);
      this.done(0);
    });
  }

  private starve(role: Role, forMs: number): void {
    const process = this.world.member(role)?.process;
    if (process === undefined) return this.done(0);
    process.isStarved = true;
    this.world.note(EVENT.starve, process.number);
    this.world.queue.after(forMs, () => {
      process.isStarved = false;
      this.world.note(EVENT.fed, process.number);
      this.done(0);
    });
  }

  private awaitRunning(role: Role): void {
    if (this.world.member(role)?.process.isStopped === true) this.world.queue.after(LOOK_MS, () => this.awaitRunning(role));
    else this.done(0);
  }

  private awaitEnd(role: Role): void {
    if (this.world.member(role) === null) this.startAgain(role);
    else this.world.queue.after(LOOK_MS, () => this.awaitEnd(role));
  }

  /** Both are told to end, the second a moment after the first: one stays until the other's successor is there. */
  private restartBoth(apartMs: number): void {
    const { world, random } = this;
    const [first, second] = random.chance(0.5) ? ROLES : [...ROLES].reverse();
    const processes = ROLES.map((role) => world.member(role)?.process);
    world.drain(first);
    world.queue.after(apartMs, () => world.drain(second));
    const look = (): void => {
      for (const role of ROLES) if (world.member(role) === null) world.start(role);
      if (ROLES.every((role, i) => world.member(role)?.process !== processes[i])) this.done(0);
      else world.queue.after(LOOK_MS, look);
    };
    look();
  }

  private awaitAnyEnd(leftMs: number): void {
    const gone = ROLES.find((role) => this.world.member(role) === null);
    if (gone !== undefined) this.startAgain(gone);
    else if (leftMs <= 0) this.done(0);
    else this.world.queue.after(LOOK_MS, () => this.awaitAnyEnd(leftMs - LOOK_MS));
  }

  private startAgain(role: Role): void {
    const { world, random } = this;
    if (random.chance(0.05)) {
      world.diskOf(role).lose();
      this.otherFaults++;
      world.note(EVENT.disk, ROLES.indexOf(role), 3);
    }
    world.queue.after(random.between(5, 800), () => {
      world.start(role);
      this.done(0);
    });
  }

  private done(afterMs: number): void {
    this.world.queue.after(afterMs + SETTLE_MS, () => {
      this.isBusy = false;
    });
  }

  // ---- all else

  private otherFault(): void {
    if (this.isOver) return;
    this.otherFaults++;
    const role = this.random.pick(ROLES);
    switch (this.random.int(8)) {
      case 0:
        this.cutLink(this.random.chance(0.2) ? 7000 : this.random.between(10, 1500));
        break;
      case 1:
        this.world.note(EVENT.cut, 1);
        this.world.link.reset();
        break;
      case 2:
        this.slowDisk(role, this.random.between(100, 2000));
        break;
      case 3:
      case 4:
        this.fullDisk(role, this.random.between(100, 2000));
        break;
      case 5:
        this.upstreams(this.random.pick([LYING, LYING, SLOW, SILENT]), this.random.between(50, 700));
        break;
      case 6:
        this.clean(role);
        break;
      default:
        this.clean(role);
        this.cutLink(this.random.between(10, 300));
    }
  }

  private cutLink(forMs: number): void {
    const { world } = this;
    world.note(EVENT.cut);
    world.link.cut();
    world.queue.after(forMs, () => {
      if (!world.link.isCut) return;
      world.note(EVENT.heal);
      world.link.heal();
    });
  }

  private slowDisk(role: Role, forMs: number): void {
    const disk = this.world.diskOf(role);
    this.world.note(EVENT.disk, ROLES.indexOf(role), 1);
    disk.isSlow = true;
    this.world.queue.after(forMs, () => {
      disk.isSlow = false;
    });
  }

  private fullDisk(role: Role, forMs: number): void {
    const disk = this.world.diskOf(role);
    this.world.note(EVENT.disk, ROLES.indexOf(role), 2);
    disk.isFull = true;
    this.world.queue.after(forMs, () => {
      disk.isFull = false;
    });
  }

  private upstreams(manners: Manners, forMs: number): void {
    const { upstream } = this.world;
    upstream.manners = manners;
    this.world.queue.after(forMs, () => {
      if (upstream.manners === manners) upstream.manners = HONEST;
    });
  }

  private clean(role: Role): void {
    const control = this.world.member(role);
    if (control === null || control.process.isStopped) return;
    const pattern = this.random.chance(0.4) ? '*.ok.test.' : this.random.chance(0.5) ? this.random.pick(NAMES).text : null;
    const uid = this.random.chance(0.3) ? uidOf(this.world.revision, this.random.int(3)) : null;
    this.world.note(EVENT.clean, control.process.number);
    control.process.run(() => control.clean(pattern, uid));
  }

  private publishNext(): void {
    if (!this.isOver && this.world.revision < REVISIONS_MAX) this.world.publish(this.world.revision + 1);
  }
}

/**
 * One seed: a pair that starts, queries and faults (safety), then mending and rest (liveness), and what is then left over.
 */
import type { Role } from '@tandem/core';
import { withoutAmbience } from '../base/ambient.js';
import { BrokenPromise } from '../base/failure.js';
import { RandomStream } from '../base/random-stream.js';
import { EVENT, type Listener } from '../base/transcript.js';
import type { Control } from '../member/control.js';
import type { Zone } from '../models/upstream.js';
import { Clients } from './clients.js';
import { Faults } from './faults.js';
import { type PlantName, plantOf } from './plants.js';
import { defaults, ROLES, World, type WorldOptions } from './world.js';

export const QUERIES_PER_SEED = 2000;
const SAFETY_MS = 4000;
const START_MS = 200;
/** Members redial, files are written, what was sent twice arrives within this; held members are waited for besides. */
const REST_MS = 1500;
const START_MS_MAX = 8000;
const BARE_SHARE = 0.08;
/** A member without a policy waits 5 s for one before it serves. */
const BARE_MS = 5100;
const REST_MS_MAX = 30_000;
const LOOK_MS = 250;

export interface SeedResult {
  readonly seed: number;
  /** Of the whole transcript. */
  readonly hash: string;
  readonly events: number;
  readonly queries: number;
  readonly memberFaults: number;
  readonly otherFaults: number;
  /** Duplicates that a preempted send excuses. */
  readonly excused: number;
  readonly worstMs: number;
  readonly rcodes: ReadonlyMap<number, number>;
  /** Null when every promise was kept. */
  readonly failure: string | null;
}

export interface SeedOptions {
  readonly plant?: PlantName | null;
  readonly onEvent?: Listener | null;
}

export function runSeed(seed: number, options: SeedOptions = {}): SeedResult {
  const world = new World(optionsOf(seed, options));
  const clients = new Clients(world);
  const faults = new Faults(world, clients);
  let failure: string | null = null;
  try {
    withoutAmbience(() => run(world, clients, faults));
  } catch (error) {
    // Also an assertion of core's: a member that would have ended itself.
    failure = error instanceof BrokenPromise ? error.message : `${String(error)}\n${error instanceof Error ? error.stack ?? '' : ''}`;
  }
  world.journals.release();
  return {
    seed,
    hash: world.transcript.hash(),
    events: world.queue.count,
    queries: clients.asked,
    memberFaults: faults.memberFaults,
    otherFaults: faults.otherFaults,
    excused: world.checkers.excused,
    worstMs: world.checkers.worstMs,
    rcodes: world.checkers.rcodes,
    failure,
  };
}

function run(world: World, clients: Clients, faults: Faults): void {
  const random = world.random.fork('start');
  for (const role of ROLES) world.queue.after(random.chance(0.3) ? 0 : random.between(0, START_MS), () => world.start(role));
  awaitStart(world, beginning(world, random));
  world.note(EVENT.phase, 1);
  clients.schedule(QUERIES_PER_SEED, SAFETY_MS);
  faults.start(SAFETY_MS);
  world.run(world.queue.nowMs + SAFETY_MS);
  world.note(EVENT.phase, 2);
  faults.stop();
  rest(world);
}

/** Once in a while a pair starts without a policy, or one of its members does; what it is then to wait for. */
function beginning(world: World, random: RandomStream): () => boolean {
  if (!random.chance(BARE_SHARE)) return () => world.isRedundant;
  const isForBoth = random.chance(0.5);
  if (isForBoth) world.isSourceThere = false;
  else world.link.cut();
  world.queue.after(BARE_MS + random.between(0, 500), () => {
    world.isSourceThere = true;
    world.link.heal();
    world.member('agent')?.sourceChanged();
  });
  return () => ROLES.every((role) => world.member(role)?.plane?.isServing === true);
}

function awaitStart(world: World, condition: () => boolean): void {
  while (!condition() && world.queue.nowMs < START_MS_MAX) world.run(world.queue.nowMs + 1);
  if (!condition()) world.checkers.broken('a pair that starts without faults does not come to serve');
}

function rest(world: World): void {
  const { queue, checkers } = world;
  const untilMs = queue.nowMs + REST_MS_MAX;
  world.run(queue.nowMs + REST_MS);
  while (!isAtRest(world) && queue.nowMs < untilMs) {
    world.run(queue.nowMs + LOOK_MS);
    // A member that a pause of the safety phase still held, or that ended itself in it.
    for (const role of ROLES) world.start(role);
  }
  for (const role of ROLES) world.member(role)?.collectNow();
  world.run(queue.nowMs + LOOK_MS);
  checkers.atRest(Object.fromEntries(ROLES.map((role) => [role, world.member(role)!])) as Record<Role, Control>);
  if (!world.isRedundant) checkers.broken('a pair that was mended does not become redundant');
  const revisions = ROLES.map((role) => world.member(role)?.snapshot?.revision);
  if (revisions.some((revision) => revision !== world.revision)) {
    checkers.broken(`members at rest enforce revisions ${revisions.join(' and ')} of ${world.revision}`);
  }
}

function isAtRest(world: World): boolean {
  return world.openCount === 0 && world.isRedundant && ROLES.every((role) => {
    const control = world.member(role);
    return control?.isLinked === true && control.lag === 0 && control.plane?.leaks() === '' && control.snapshot?.revision === world.revision;
  });
}

function optionsOf(seed: number, { plant = null, onEvent = null }: SeedOptions): WorldOptions {
  const random = new RandomStream(seed).fork('options');
  return {
    ...defaults(seed),
    slots: random.pick([64, 256, 256, 512]),
    maxAddressesPerName: random.pick([3, 1000, 1000]),
    concurrencyLimit: random.pick([0, 0, 0, 20]),
    concurrencyGraceMs: random.pick([0, 100]),
    minTtlSeconds: random.pick([0, 0, 3]),
    datapath: random.pick(['none', 'none', 'fast', 'slow', 'refuses'] as const),
    plant: plantOf(plant),
    zone: zoneOf(random),
    onEvent,
  };
}

/** Addresses change every second or so; TTLs are short and long. */
function zoneOf(random: RandomStream): Zone {
  const salt = random.int(0xffff);
  const everyMs = random.pick([1000, 5000, 60_000]);
  return {
    address: (name, nowMs) => (Math.imul(name + 1, 0x9e37) ^ salt ^ Math.floor(nowMs / everyMs) * 0x101) & 0xff_ffff,
    ttlSeconds: (name) => [1, 5, 30, 300, 300][name % 5],
  };
}

/** What the checker of mappings excuses, and what it does not. */
import t from 'tap';
import { monoMs, type Role } from '@tandem/core';
import { TYPE } from '@tandem/dns';
import type { Control } from '../member/control.js';
import { Clients, flowOf } from './clients.js';
import { NAMES } from './policies.js';
import { defaults, ROLES, World } from './world.js';

const NAME = 1;
const FLOW = 1000;
const HASHES = 64;
const ALL = { matchPattern: null, endpointUid: null };

class Pair {
  readonly world = new World(defaults(1));
  private readonly clients = new Clients(this.world);

  constructor() {
    this.world.upstream.manners = { answer: 1 };
    for (const role of ROLES) this.world.start(role);
    this.settle();
  }

  member(role: Role): Control {
    return this.world.member(role)!;
  }

  /** Serving, linked, and with nothing to tell each other. */
  settle(): void {
    const { world } = this;
    const isSettled = (): boolean => world.isRedundant && ROLES.every((role) => this.member(role).isLinked && this.member(role).lag === 0);
    while (!isSettled()) world.run(world.queue.nowMs + 1);
  }

  run(forMs: number): void {
    this.world.run(this.world.queue.nowMs + forMs);
  }

  /** A client is given an address, by this member. */
  give(role: Role): void {
    const socket = this.member(role).plane!.reactor.listeners[0]!.socket;
    const hashes = Array.from({ length: HASHES }, (_, i) => (i * 0x1_0000_0000) / HASHES);
    this.clients.ask(flowOf(FLOW, 0, hashes.find((hash) => this.world.kernel.chosen(hash) === socket)!), NAME, TYPE.A);
    this.run(50);
    this.settle();
  }

  replace(role: Role): void {
    this.world.kill(role);
    this.run(50);
    this.world.start(role);
  }

  /** As no member does. */
  forgetAll(): void {
    for (const role of ROLES) this.member(role).cache.clean({ ...ALL, atMs: monoMs(this.member(role).nowMs()) });
  }

  forgotten(): string | null {
    return this.world.checkers.memory.forgotten(this.member('agent'));
  }

  returned(): string | null {
    return this.world.checkers.memory.returned(this.member('agent'));
  }
}

t.test('what one knew who lives is to be kept, also where its peer has ended that knew it, too', (t) => {
  for (const gone of ROLES) {
    const pair = new Pair();
    pair.give('agent');
    pair.replace(gone);
    pair.settle();
    t.equal(pair.forgotten(), null);
    pair.forgetAll();
    t.match(pair.forgotten(), NAMES[NAME].text, gone);
  }
  t.end();
});

t.test('what a member had from a dead peer is excused if it ends before the next was taught it', (t) => {
  const pair = new Pair();
  pair.give('agent');
  pair.world.link.cut();
  pair.replace('agent');
  pair.run(1000);
  t.equal(pair.member('agent').cache.size, 0);
  pair.replace('dns-proxy');
  pair.world.link.heal();
  pair.settle();
  t.equal(pair.member('agent').cache.size, 0);
  t.equal(pair.forgotten(), null);
  pair.give('agent');
  pair.forgetAll();
  t.match(pair.forgotten(), NAMES[NAME].text, 'not what came later');
  t.end();
});

t.test('what a clean took is to stay away, unless all who knew of the clean have ended', (t) => {
  const pair = new Pair();
  pair.give('agent');
  pair.member('agent').clean(NAMES[NAME].text, null);
  pair.replace('agent');
  pair.settle();
  pair.give('agent');
  t.equal(pair.member('agent').cache.size, 1);
  t.equal(pair.returned(), null, 'what was looked up later may be there');
  pair.world.checkers.memory.onClean({ ...ALL, atMs: pair.member('agent').nowMs() });
  t.match(pair.returned(), NAMES[NAME].text);

  const other = new Pair();
  other.give('agent');
  other.world.link.cut();
  other.member('agent').clean(null, null);
  other.replace('agent');
  other.world.link.heal();
  other.settle();
  t.equal(other.member('agent').cache.size, 1);
  t.equal(other.returned(), null);
  t.end();
});

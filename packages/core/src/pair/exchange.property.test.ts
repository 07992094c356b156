import fc from 'fast-check';
import t from 'tap';
import { monoMs } from '../base/seams.js';
import type { Clean, Mapping } from '../fqdn/cache.js';
import { ACK_WITHIN_MS } from './exchange-messages.js';
import { drain, TestLink, TestMember } from './testing/network.js';

/** So small that members fall behind. */
const CHANGES_MAX = 6;

const mapping: fc.Arbitrary<Mapping> = fc
  .record({
    endpointUid: fc.constantFrom('uid-a', 'uid-b'),
    name: fc.constantFrom('a.test.', 'b.test.', 'c.test.'),
    address: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001:db8::1'),
    lookup: fc.integer({ min: 0, max: 7 }),
    ttlSeconds: fc.integer({ min: 0, max: 7 }),
  })
  .map(({ lookup, ...rest }) => ({ ...rest, lookupMs: monoMs(lookup * 1000), expiryMs: monoMs((lookup + rest.ttlSeconds) * 1000) }));

const clean: fc.Arbitrary<Clean> = fc.record({
  matchPattern: fc.constantFrom(null, 'a.test.', 'b.test.'),
  endpointUid: fc.constantFrom(null, 'uid-a'),
  atMs: fc.integer({ min: 0, max: 7 }).map((seconds) => monoMs(seconds * 1000)),
});

interface World {
  readonly members: readonly TestMember[];
  /** Pairs of members that may be linked. */
  readonly routes: readonly (readonly [number, number])[];
  readonly links: TestLink[];
  nowMs: number;
}

type Command = (world: World) => void;

const at = fc.nat({ max: 5 });
const side = fc.constantFrom<0 | 1>(0, 1);

/** A command that a failing run is printed with. */
function named(command: Command, ...words: readonly unknown[]): Command {
  return Object.assign(command, { [fc.toStringMethod]: () => words.map((word) => (typeof word === 'string' ? word : JSON.stringify(word))).join(' ') });
}

type LinkAction<T> = (link: TestLink, values: T, world: World, route: number) => void;

function onLink<T>(name: string, values: fc.Arbitrary<T>, act: LinkAction<T>): fc.Arbitrary<Command> {
  return fc.tuple(fc.nat({ max: 1 }), values).map(([n, value]) => named((world) => {
    const route = n % world.routes.length;
    act(world.links[route], value, world, route);
  }, name, n, value));
}

function onMember<T>(name: string, values: fc.Arbitrary<T>, act: (member: TestMember, value: T, world: World, index: number) => void): fc.Arbitrary<Command> {
  return fc.tuple(fc.nat({ max: 2 }), values).map(([n, value]) => named((world) => {
    const index = n % world.members.length;
    act(world.members[index], value, world, index);
  }, name, n, value));
}

function relink(world: World, route: number): void {
  world.links[route].cut();
  const [a, b] = world.routes[route];
  world.links[route] = new TestLink(world.members[a], world.members[b]);
}

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: onMember('learn', mapping, (member, one) => member.learn(one)) },
  { weight: 2, arbitrary: onMember('clean', clean, (member, one) => member.clean(one)) },
  { weight: 4, arbitrary: onLink('pump', side, (link, one, { nowMs }) => link.pump(one, monoMs(nowMs), 2)) },
  { weight: 3, arbitrary: onLink('work', side, (link, one) => link.work(one)) },
  { weight: 5, arbitrary: onLink('deliver', fc.tuple(side, at, fc.boolean()), (link, [one, index, isAgain]) => link.deliver(one, index, isAgain)) },
  { weight: 3, arbitrary: onLink('settle', fc.tuple(side, at), (link, [one, index]) => link.settle(one, index)) },
  { weight: 1, arbitrary: onLink('lose', fc.tuple(side, at), (link, [one, index]) => link.lose(one, index)) },
  { weight: 2, arbitrary: onLink('turn', fc.constant(null), (link, _, { nowMs }) => void link.turn(monoMs(nowMs))) },
  { weight: 1, arbitrary: onLink('relink', fc.constant(null), (_link, _, world, route) => relink(world, route)) },
  { weight: 1, arbitrary: fc.constant(named(late, 'late')) },
  {
    weight: 1,
    arbitrary: onMember('restart', fc.boolean(), (member, isCacheKept, world, index) => {
      member.restart(isCacheKept);
      world.routes.forEach((route, i) => {
        if (route.includes(index)) relink(world, i);
      });
    }),
  },
);

/** Time passes: who is waited for in vain loses the link, and dials again. */
function late(world: World): void {
  world.nowMs += ACK_WITHIN_MS;
  world.links.forEach((link, route) => {
    if (link.ends.some(({ exchange }) => exchange.lateness(monoMs(world.nowMs)) !== null)) relink(world, route);
  });
}

function play(count: number, routes: World['routes'], commands: readonly Command[]): boolean {
  const members = Array.from({ length: count }, () => new TestMember(CHANGES_MAX));
  const links = routes.map(([a, b]) => new TestLink(members[a], members[b]));
  const world: World = { members, routes, links, nowMs: 0 };
  for (const act of commands) act(world);
  // The links stay as they are: what was lost on them is found by its deadline.
  for (let i = 0; i < 3; i++) {
    drain(world.links, monoMs(world.nowMs));
    late(world);
  }
  const contents = members.map((member) => member.content());
  const isQuiet = world.links.every(({ ends }) => ends.every(({ exchange }) => exchange.lag === 0 && exchange.deadlineMs === null));
  return isQuiet && contents.every((one) => one === contents[0]);
}

const commands = fc.array(command, { maxLength: 80, size: 'max' });

t.test('two members over a link that loses, repeats, reorders and breaks end with equal caches', (t) => {
  fc.assert(fc.property(commands, (list) => play(2, [[0, 1]], list)), { numRuns: 3000 });
  t.end();
});

t.test('three members in a row end with equal caches', (t) => {
  fc.assert(fc.property(commands, (list) => play(3, [[0, 1], [0, 2]], list)), { numRuns: 2000 });
  t.end();
});

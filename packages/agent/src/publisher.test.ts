import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import FakeTimers from '@sinonjs/fake-timers';
import t, { type Test } from 'tap';
import { type Log, parseSettings, type PolicyObjects, type RawSetting, type Snapshot } from '@tandem/core';
import { Member } from '@tandem/host';
import { loadManifests } from '@tandem/manifests';
import type { LoadedManifests } from './manifest-folder.js';
import { Publisher } from './publisher.js';

function podText(name: string, address: string): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: shop}\nspec: {nodeName: node}\nstatus: {podIPs: [{ip: ${address}}], podIP: ${address}, phase: Running}\n`;
}

function loaded(...texts: string[]): LoadedManifests {
  const { objects, problems } = loadManifests(texts.map((text, i) => ({ path: `${i}.yaml`, text })));
  return { objects: problems.some(({ severity }) => severity === 'error') ? null : objects, problems };
}

interface Bench {
  readonly member: Member;
  readonly publisher: Publisher;
  readonly lines: string[];
  readonly dir: string;
  readonly clock: FakeClock;
}

class FakeClock {
  readonly bootId = 'boot';
  private ms = 1_000_000;

  now(): { wallMs: number; monoMs: number } {
    return { wallMs: this.ms, monoMs: this.ms };
  }

  pass(ms: number): void {
    this.ms += ms;
  }
}

/** With `before`: another process, on the state of the one before. */
function setUp(t: Test, argv: readonly string[] = [], before?: { readonly dir: string; readonly clock: FakeClock }): Bench {
  const dir = before?.dir ?? mkdtempSync(join(tmpdir(), 'tandem-publisher-'));
  const clock = before?.clock ?? new FakeClock();
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const lines: string[] = [];
  const note = (line: string): void => {
    lines.push(line);
  };
  const log: Log = { debug: () => undefined, info: note, warn: note, error: note };
  const { settings } = parseSettings(rawsOf(['--manifests', join(dir, 'manifests'), ...argv]), {
    role: 'agent', hostname: 'node', runDir: dir, stateDir: join(dir, 'state'), resolver: '192.0.2.53:53', localAddresses: [],
  });
  const fail = (error: Error): never => {
    throw error;
  };
  const member = new Member({ settings, version: '0', log, fail, clock });
  return { member, publisher: new Publisher(member), lines, dir, clock };
}

/** `--name value`, again and again. */
function rawsOf(argv: readonly string[]): RawSetting[] {
  return argv.flatMap((name, i) => (i % 2 === 0 ? [{ name: name.slice(2), texts: [argv[i + 1]], where: name, from: 'argv' as const }] : []));
}

const WEB = podText('web', '10.0.0.1');

t.test('with an error the snapshot before stays, and the end of the errors is told though nothing changed', async (t) => {
  const { member, publisher, lines } = setUp(t);
  await publisher.publish(loaded(WEB));
  const before = member.snapshot;
  t.equal(before?.revision, 1);
  await publisher.publish(loaded('kind: ['));
  t.equal(member.snapshot, before);
  t.match(member.problems, [/0\.yaml.*error/]);
  await publisher.publish(loaded(WEB));
  t.equal(member.snapshot, before);
  t.strictSame(member.problems, []);
  t.equal(lines.filter((line) => line === 'the manifests are good again').length, 1);
});

const FAR = podText('far', '10.0.9.1').replace('nodeName: node', 'nodeName: elsewhere');
const LIMIT = ['--stale-source-limit', '60'];

function knowsFar({ member }: Bench): boolean {
  return member.snapshot!.identities.some(({ addresses, labels }) => addresses.includes('10.0.9.1') && !labels.includes('reserved:unmanaged='));
}

function fakeTimers(t: Test): ReturnType<typeof FakeTimers.install> {
  const timers = FakeTimers.install({ toFake: ['setInterval', 'clearInterval'] });
  t.teardown(() => { timers.uninstall(); });
  return timers;
}

t.test('while a source says that it is away in part, its limit runs, and other nodes\' pods stay nobody until it is back', async (t) => {
  const timers = fakeTimers(t);
  const bench = setUp(t, LIMIT);
  const { member, publisher, clock } = bench;
  const pass = (ms: number): void => {
    clock.pass(ms);
    timers.tick(ms);
  };
  await publisher.publish(loaded(WEB, FAR));
  await publisher.publish({ ...loaded(WEB, FAR), isAway: true });
  pass(59_000);
  t.ok(knowsFar(bench));
  const { revision } = member.snapshot!;
  pass(1_000);
  t.notOk(knowsFar(bench), 'the limit has passed');
  t.equal(member.snapshot!.revision, revision + 1);
  await publisher.publish({ ...loaded(WEB, FAR, podText('new', '10.0.0.9')), isAway: true });
  t.ok(member.snapshot!.endpoints.some(({ pod }) => pod === 'new'), 'what is heard of this node counts');
  t.notOk(knowsFar(bench));
  await publisher.publish({ ...loaded(WEB, FAR), isAway: false });
  t.ok(knowsFar(bench));
});

t.test('the limit runs on over restarts, and its lapse outlives them while the source is bad', async (t) => {
  const timers = fakeTimers(t);
  const first = setUp(t, LIMIT);
  await first.publisher.publish(loaded(WEB, FAR));
  const whole = first.member.snapshot!;
  await first.publisher.publish(loaded('kind: ['));
  first.clock.pass(40_000);
  const second = setUp(t, LIMIT, first);
  await second.member.enforce(whole);
  await second.publisher.publish(loaded('kind: ['));
  t.ok(knowsFar(second));
  first.clock.pass(20_000);
  timers.tick(1_000);
  t.notOk(knowsFar(second));
  const third = setUp(t, LIMIT, first);
  t.not(third.member.heard.asOfNow(whole), whole, 'a policy on disk that is older than the lapse');
  await third.publisher.publish(loaded('kind: ['));
  await third.publisher.adopt({ ...whole, revision: whole.revision + 5 });
  t.notOk(knowsFar(third), 'nor does the peer bring it back');
  await third.publisher.publish(loaded(WEB, FAR));
  t.ok(knowsFar(third));
});

t.test('a notice of the compiler is a problem for as long as it holds, and is logged once', async (t) => {
  const { member, publisher, lines } = setUp(t);
  const twins = loaded(WEB, podText('twin', '10.0.0.1'));
  await publisher.publish(twins);
  const notices = member.problems.filter((line) => line.startsWith('warning: '));
  t.ok(notices.length > 0, 'two pods with one address');
  const logged = lines.length;
  await publisher.publish(twins);
  t.strictSame(member.problems.filter((line) => line.startsWith('warning: ')), notices);
  t.equal(lines.length, logged);
  await publisher.publish(loaded(WEB));
  t.strictSame(member.problems, []);
});

t.test("a peer's policy is taken only where there is none, and the own one then has a later revision", async (t) => {
  const source = setUp(t);
  await source.publisher.publish(loaded(WEB));
  const theirs: Snapshot = { ...source.member.snapshot!, revision: 41 };
  const { member, publisher } = setUp(t);
  await publisher.adopt(theirs);
  t.equal(member.snapshot, theirs);
  await t.rejects(publisher.adopt(theirs), { code: 'SNAPSHOT_REFUSED' });
  await publisher.publish(loaded(podText('other', '10.0.0.2')));
  t.equal(member.snapshot?.revision, 42);
  t.strictSame(member.snapshot!.endpoints.map(({ pod }) => pod), ['other']);
});

t.test('a policy of an earlier process is not outrun: it gives way to a newer one of the peer, until the source has spoken', async (t) => {
  const source = setUp(t);
  await source.publisher.publish(loaded(WEB));
  const stored = source.member.snapshot!;
  const { member, publisher } = setUp(t);
  await member.enforce({ ...stored, revision: 5 });
  await publisher.publish(loaded('kind: ['));
  await publisher.outrun(9);
  t.equal(member.snapshot?.revision, 5, 'not passed off as newer');
  await t.rejects(publisher.adopt({ ...stored, revision: 5 }), { code: 'SNAPSHOT_REFUSED' });
  await publisher.adopt({ ...stored, revision: 9 });
  t.equal(member.snapshot!.revision, 9);
  await publisher.publish(loaded(podText('other', '10.0.0.2')));
  t.equal(member.snapshot!.revision, 10);
  await t.rejects(publisher.adopt({ ...stored, revision: 99 }), { code: 'SNAPSHOT_REFUSED' });
});

t.test('numbers of a stored policy, or of the peer\'s, stay with their pods', async (t) => {
  const source = setUp(t);
  await source.publisher.publish(loaded(podText('b', '10.0.0.1'), podText('c', '10.0.0.2')));
  const theirs = source.member.snapshot!;
  const numbers = ({ endpoints }: Snapshot): [string, number, number][] => endpoints.map(({ pod, id, identity }) => [pod, id, identity]);
  const [b, c] = numbers(theirs);
  for (const bring of [
    async ({ member }: ReturnType<typeof setUp>): Promise<void> => { await member.enforce(theirs); },
    async ({ publisher }: ReturnType<typeof setUp>): Promise<void> => { await publisher.adopt({ ...theirs, revision: 9 }); },
  ]) {
    const own = setUp(t);
    await bring(own);
    await own.publisher.publish(loaded(podText('a', '10.0.0.3'), podText('b', '10.0.0.1'), podText('c', '10.0.0.2')));
    t.strictSame(numbers(own.member.snapshot!).filter(([pod]) => pod !== 'a'), [b, c]);
  }
});

t.test('a policy of the source is outrun also while the source is broken', async (t) => {
  const { member, publisher } = setUp(t);
  await publisher.publish(loaded(WEB));
  const { hash } = member.snapshot!;
  await publisher.publish(loaded('kind: ['));
  await publisher.outrun(7);
  t.match(member.snapshot, { revision: 8, hash });
});

t.test('a snapshot that the peer knows by a revision of ours is outrun', async (t) => {
  const { member, publisher } = setUp(t);
  await publisher.publish(loaded(WEB));
  await publisher.outrun(7);
  t.equal(member.snapshot?.revision, 8);
  await publisher.outrun(7);
  t.equal(member.snapshot!.revision, 8);
});

t.test('a policy that is too large for the pair link is not enforced', async (t) => {
  const { member, publisher, lines } = setUp(t);
  await publisher.publish(loaded(WEB));
  const before = member.snapshot;
  await publisher.publish({ objects: largeObjects(), problems: [] });
  t.equal(member.snapshot, before);
  t.match(member.problems.join('\n'), /the compiled policy has \d+ bytes; 33554432 are the most/);
  t.ok(lines.includes('the policy cannot be compiled; the one before stays'));
});

/** Pods of another node, each with labels of its own that are as long as labels get. */
function largeObjects(): PolicyObjects {
  const { objects } = loadManifests([{ path: 'a.yaml', text: WEB }]);
  const labels = (i: number): Record<string, string> => (
    Object.fromEntries(Array.from({ length: 60 }, (_, k) => [`${'k'.repeat(60)}${k}`, `${i}-${'v'.repeat(55)}`]))
  );
  const pods = Array.from({ length: 4500 }, (_, i) => ({
    ...objects!.pods[0], name: `p${i}`, uid: `u${i}`, nodeName: 'other', addresses: [`10.1.${i >> 8}.${i & 255}`], labels: labels(i),
  }));
  return { ...objects!, pods };
}

import fc from 'fast-check';
import t from 'tap';
import type { FlowReader, LostFlows, ObservedFlow } from './flow-log.js';
import { RING_CELLS_MIN } from './flow-ring.js';
import { RingLog } from './ring-log.js';
import { BOOTED_AT_MS, contextOf, RingStage } from './testing/stage.js';

/** Two members' rings, read at the agent. */
function pair(): { log: RingLog; agent: RingStage; proxy: RingStage } {
  const log = new RingLog('agent', contextOf());
  const agent = new RingStage(1);
  const proxy = new RingStage(2);
  log.add('agent', 0, agent.shared);
  log.add('dns-proxy', 1, proxy.shared);
  return { log, agent, proxy };
}

function isFlow(one: ObservedFlow | LostFlows | null): one is ObservedFlow {
  return one !== null && 'flow' in one;
}

/** What is ahead: names of flows, and numbers of lost ones. */
function rest(reader: FlowReader): (string | number)[] {
  const all: (string | number)[] = [];
  for (let one = reader.next(); one !== null; one = reader.next()) all.push(isFlow(one) ? textOf(one) : one.lost);
  return all;
}

function behind(reader: FlowReader): string[] {
  const all: string[] = [];
  for (let one = reader.previous(); one !== null; one = reader.previous()) all.unshift(textOf(one));
  return all;
}

function textOf({ flow }: ObservedFlow): string {
  const dns = flow.l7?.record?.value as { query: string };
  return `${dns.query}${flow.isReply === true ? '<' : '>'}`;
}

t.test('the flows of both are one, in the order of time, forward and back alike', (t) => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 3 })), { maxLength: 60 }), (writes) => {
    const { log, agent, proxy } = pair();
    let endedAtMs = 2000;
    const records: { readonly name: string; readonly endedAtMs: number; readonly isAgent: boolean }[] = [];
    writes.forEach(([isAgent, passedMs], i) => {
      endedAtMs += passedMs;
      const name = `q${i}.`;
      (isAgent ? agent : proxy).write({ name, endedAtMs });
      records.push({ name, endedAtMs, isAgent });
    });
    // Own ones first where both ended in the same moment.
    records.sort((one, other) => one.endedAtMs - other.endedAtMs || Number(other.isAgent) - Number(one.isAgent));
    const expected = records.flatMap(({ name }) => [`${name}>`, `${name}<`]);
    t.same(rest(log.read('oldest')), expected);
    const reader = log.read('newest');
    t.same(rest(reader), []);
    t.same(behind(reader), expected);
    t.same(rest(reader), expected, 'and forth again');
  }), { numRuns: 200 });
  t.end();
});

t.test('how long a ring is read is no matter of the wall clock', (t) => {
  const now = Date.now.bind(Date);
  t.teardown(() => { Date.now = now; });
  const { log } = pair();
  Date.now = () => now() + 3_600_000;
  for (const { role, uptimeMs } of log.members()) t.ok(uptimeMs >= 0 && uptimeMs < 60_000, `${role}: ${uptimeMs} ms`);
  t.end();
});

t.test('a reader may turn anywhere', (t) => {
  const { log, agent, proxy } = pair();
  for (let i = 0; i < 20; i++) (i % 3 === 0 ? agent : proxy).write({ name: `q${i}.`, endedAtMs: 2000 + i });
  fc.assert(fc.property(fc.array(fc.integer({ min: -15, max: 15 }), { maxLength: 20 }), (steps) => {
    const reader = log.read('oldest');
    let at = 0;
    for (const step of steps) {
      for (let i = 0; i < Math.abs(step); i++) {
        const one = step > 0 ? reader.next() : reader.previous();
        const index = step > 0 ? at : at - 1;
        if (index < 0 || index >= 40) {
          t.equal(one, null);
          continue;
        }
        t.ok(isFlow(one) && textOf(one) === `q${index >> 1}.${index % 2 === 0 ? '>' : '<'}`, `flow ${index}`);
        at += Math.sign(step);
      }
    }
  }), { numRuns: 100 });
  t.end();
});

t.test('one that is overtaken learns how many flows it missed, exactly', (t) => {
  const { log, agent, proxy } = pair();
  const reader = log.read('newest');
  const slow = log.read('oldest');
  agent.write({ name: 'first.', endedAtMs: 1 });
  t.same(rest(slow), ['first.>', 'first.<']);
  for (let i = 0; i < 3000; i++) agent.write({ name: `q${i}.`, endedAtMs: 10 + i });
  proxy.write({ name: 'theirs.', endedAtMs: 5 });
  for (const [one, before] of [[reader, 0], [slow, 2]] as const) {
    const countedBefore = log.lostCount;
    const all = rest(one);
    const lost = all.filter((text) => typeof text === 'number').reduce((sum, count) => sum + count, 0);
    const seen = all.filter((text) => typeof text === 'string' && !text.startsWith('theirs')).length;
    t.ok(lost > 0);
    t.equal(log.lostCount - countedBefore, lost, 'and it is counted');
    t.equal(lost + seen + before, 2 + 6000, 'none is missed without a word');
    t.ok(all.includes('theirs.>'), "the other member's are there");
    t.equal(all.at(-1), 'q2999.<');
  }
  t.end();
});

t.test('one that is overtaken before it goes forth misses little', (t) => {
  const { log, agent } = pair();
  let written = 0;
  const write = (count: number): void => {
    for (let i = 0; i < count; i++) agent.write({ name: `q${written}.`, endedAtMs: 10 + written++ });
  };
  write(2000);
  const first = log.read('oldest');
  const back = log.read('newest');
  const kept = behind(back).length;
  const more = Math.floor(kept / 20);
  write(more);
  const all = rest(first);
  t.equal(all.filter((one) => typeof one === 'number').length, 0, 'what it never came to is no loss');
  const forth = rest(back);
  const lost = forth.filter((one) => typeof one === 'number').reduce((sum, count) => sum + count, 0);
  t.ok(lost > 0);
  t.equal(lost + forth.filter((one) => typeof one === 'string').length, kept + 2 * more, 'all that it had gone back over, and what came since');
  for (const { length } of [all, forth]) t.ok(length > kept * 0.8, `${length} of ${kept}`);
  t.end();
});

t.test('flows of an outage are at the member that comes back, each once', (t) => {
  const proxyRing = new RingStage(2);
  for (let i = 0; i < 50; i++) proxyRing.write({ name: `q${i}.`, endedAtMs: 3000 + i });
  const log = new RingLog('agent', contextOf());
  const own = new RingStage(3);
  log.add('agent', 0, own.shared);
  const history = log.read('oldest');
  const follower = log.read('newest');
  own.write({ name: 'own.', endedAtMs: 9000 });
  t.same(rest(follower), ['own.>', 'own.<']);
  log.add('dns-proxy', 1, proxyRing.shared);
  log.add('dns-proxy', 1, proxyRing.shared);
  const seen = rest(history);
  t.equal(seen.length, 102);
  t.equal(new Set(seen).size, 102);
  t.same(rest(follower), [], 'what is older than the follower is no news to it');
  t.end();
});

t.test('a dead member\'s flows stay; of many that died, the newest two', (t) => {
  const { log, proxy } = pair();
  proxy.write({ name: 'last-words.', endedAtMs: 4000 });
  log.ended(1);
  t.match(log.members(), [{ role: 'agent', connected: true }, { role: 'dns-proxy', connected: false, stored: 2, seen: 2 }]);
  t.same(rest(log.read('oldest')), ['last-words.>', 'last-words.<']);
  const others = [3, 4].map((id) => {
    const ring = new RingStage(id);
    log.add('dns-proxy', id, ring.shared);
    return ring;
  });
  t.match(log.members()[1], { connected: true });
  log.ended(3);
  t.notOk(proxy.isReleased);
  log.ended(4);
  t.ok(proxy.isReleased, 'the oldest is let go of');
  t.notOk(others[0].isReleased);
  log.close();
  t.ok(others.every(({ isReleased }) => isReleased));
  t.end();
});

t.test('a member that shares its ring again is there, whichever is told first: the end of the old share or the new one', (t) => {
  for (const isEndFirst of [true, false]) {
    const { log, proxy } = pair();
    const again = [{ words: proxy.words, kind: 'queries' as const, release: () => undefined }];
    if (isEndFirst) log.ended(1);
    log.add('dns-proxy', 2, again);
    if (!isEndFirst) log.ended(1);
    t.match(log.members()[1], { role: 'dns-proxy', connected: true });
    proxy.write({ name: 'news.', endedAtMs: 1 });
    t.same(rest(log.read('oldest')), ['news.>', 'news.<']);
    log.ended(2);
    t.match(log.members()[1], { connected: false });
    t.notOk(proxy.isReleased, 'what it wrote stays');
  }
  t.end();
});

t.test('a ring that is let go of is read no more, wherever its readers stand, and its flows still count as seen', (t) => {
  const { log, agent, proxy } = pair();
  agent.write({ name: 'own.', endedAtMs: 1 });
  for (let i = 0; i < 20; i++) proxy.write({ name: `q${i}.`, endedAtMs: 10 + i });
  const back = log.read('newest');
  const forth = log.read('oldest');
  t.equal(textOf(back.previous()!), 'q19.<');
  const gone = [proxy, ...[3, 4].map((id) => {
    const ring = new RingStage(id);
    log.add('dns-proxy', id, ring.shared);
    ring.write({ name: 'one.', endedAtMs: 50 });
    return ring;
  })];
  for (const key of [1, 3, 4]) log.ended(key);
  t.same(gone.map(({ isReleased }) => isReleased), [true, false, false]);
  // As after munmap: a word of it that is read throws.
  structuredClone(null, { transfer: [proxy.words.buffer as ArrayBuffer] });
  t.same(behind(back), ['own.>', 'own.<']);
  t.same(rest(forth), ['own.>', 'own.<', 'one.>', 'one.<', 'one.>', 'one.<']);
  t.match(log.members()[1], { role: 'dns-proxy', stored: 4, seen: 44 });
  t.end();
});

t.test('a follower that meets a ring full of what is no news to it goes past it without a look at each', (t) => {
  const log = new RingLog('agent', contextOf());
  const follower = log.read('newest');
  const proxy = new RingStage(2, 2 ** 16);
  for (let i = 0; i < 20_000; i++) proxy.write({ name: 'x.example.', endedAtMs: i });
  const now = Date.now() - BOOTED_AT_MS;
  for (let i = 1; i <= 3; i++) proxy.write({ name: `news-${i}.`, receivedAtMs: now - 1000, endedAtMs: now + i * 1000 });
  log.add('dns-proxy', 1, proxy.shared);
  const before = process.threadCpuUsage();
  t.same(rest(follower), ['news-1.>', 'news-1.<', 'news-2.>', 'news-2.<', 'news-3.>', 'news-3.<']);
  // To decode them all takes a second and more.
  const { user, system } = process.threadCpuUsage(before);
  t.ok(user + system < 200_000, `${user + system} µs`);
  t.end();
});

t.test('how full the rings are', (t) => {
  const { log, agent } = pair();
  t.match(log.members()[0], { role: 'agent', stored: 0, seen: 0, max: RING_CELLS_MIN / 2 });
  for (let i = 0; i < 10; i++) agent.write({ name: 'x.', endedAtMs: i });
  t.match(log.members()[0], { stored: 20, seen: 20 });
  for (let i = 0; i < 5000; i++) agent.write({ name: 'x.', endedAtMs: i });
  const [{ stored, seen }] = log.members();
  t.equal(seen, 10_020);
  t.ok(stored > 400 && stored < 1100, `${stored} of them are there`);
  t.end();
});

import t from 'tap';
import { monoMs } from '../base/seams.js';
import type { Clean } from '../fqdn/cache.js';
import { BUCKETS, DIGEST_WORDS } from './bucket-digest.js';
import { Exchange } from './exchange.js';
import { ACK_WITHIN_MS, type ExchangeMessage, MAPPINGS_PER_MESSAGE, MESSAGES_UNACKED_MAX } from './exchange-messages.js';
import { drain, mappingOf, TestLink, TestMember } from './testing/network.js';

const CHANGES_MAX = 1000;
const NOW = monoMs(0);

function memberWith(from: number, count: number, changesMax = CHANGES_MAX): TestMember {
  const member = new TestMember(changesMax);
  for (let n = from; n < from + count; n++) member.learn(mappingOf(n));
  return member;
}

function allClean(atMs: number): Clean {
  return { matchPattern: null, endpointUid: null, atMs: monoMs(atMs) };
}

t.test('members that meet for the first time end with what either knew, and with what each learns since', (t) => {
  const [a, b] = [memberWith(0, 3000), memberWith(2000, 3000)];
  const link = new TestLink(a, b);
  drain([link]);
  t.equal(a.cache.size, 5000);
  t.ok(a.content() === b.content());
  const { sent } = link;
  a.learn(mappingOf(10_000));
  drain([link]);
  t.equal(link.sent, sent + 1, 'a change goes once, and what came from the peer does not go back');
  t.ok(a.content() === b.content());
  t.strictSame(link.ends.map(({ exchange }) => exchange.lag), [0, 0]);
  t.end();
});

t.test('after a cut only what changed meanwhile goes, without digests', (t) => {
  const [a, b] = [memberWith(0, 500), memberWith(500, 500)];
  const first = new TestLink(a, b);
  drain([first]);
  first.cut();
  a.learn(mappingOf(2000), mappingOf(2001));
  b.clean({ matchPattern: mappingOf(0).name, endpointUid: null, atMs: monoMs(1) });
  const second = new TestLink(a, b);
  drain([second]);
  t.equal(second.sent, 3);
  t.equal(second.digests, 0);
  t.ok(a.content() === b.content());
  t.end();
});

t.test('a mapping that changed often goes once, as it is now', (t) => {
  const [a, b] = [memberWith(0, 10), memberWith(0, 0)];
  const link = new TestLink(a, b);
  drain([link]);
  const { sent } = link;
  for (let lookupMs = 1; lookupMs <= 50; lookupMs++) a.learn(mappingOf(1, lookupMs));
  t.equal(link.ends[0].exchange.lag, 1);
  drain([link]);
  t.equal(link.sent, sent + 1);
  t.ok(a.content() === b.content());
  t.end();
});

t.test('who is too far behind, or has restarted, is sent only the buckets that differ', (t) => {
  const [known, changesMax] = [20_000, 10_000];
  const [a, b] = [memberWith(0, known, changesMax), memberWith(0, 0, changesMax)];
  const first = new TestLink(a, b);
  drain([first]);
  first.cut();
  a.learn(...Array.from({ length: changesMax + 1 }, (_, i) => mappingOf(known + i)));
  const behind = new TestLink(a, b);
  drain([behind]);
  t.equal(behind.digests, 1, 'the one that was behind; the other has been seen');
  t.ok(a.content() === b.content());
  behind.cut();
  b.restart(true);
  b.learn(mappingOf(500_000));
  const restarted = new TestLink(a, b);
  drain([restarted]);
  t.equal(restarted.digests, 2);
  t.ok(restarted.sent < 100, `${restarted.sent} of ${known} sent`);
  t.ok(a.content() === b.content());
  t.end();
});

t.test('equal caches are found equal: nothing is sent, and the next link needs no digests', (t) => {
  const [a, b] = [memberWith(0, 5000), memberWith(0, 5000)];
  for (const member of [a, b]) member.clean(allClean(-1));
  const link = new TestLink(a, b);
  t.ok(link.ends[0].exchange.lag >= 5000, 'until the answer is there, all may be missing');
  drain([link]);
  t.equal(link.sent, 0);
  t.equal(link.ends[0].exchange.lag, 0);
  link.cut();
  const next = new TestLink(a, b);
  drain([next]);
  t.equal(next.digests, 0);
  t.end();
});

t.test('a clean that was lost with the link arrives by the next one; a tombstone of one endpoint, too', (t) => {
  const [a, b] = [memberWith(0, 100), memberWith(0, 0)];
  const link = new TestLink(a, b);
  drain([link]);
  a.clean({ matchPattern: null, endpointUid: mappingOf(0).endpointUid, atMs: monoMs(5) });
  link.pump(0, NOW);
  t.equal(link.ends[0].onTheWay.length, 1);
  t.equal(link.ends[0].exchange.lag, 1);
  link.cut();
  t.equal(b.cache.size, 100);
  const next = new TestLink(a, b);
  drain([next]);
  t.equal(b.cache.size, 0);
  t.equal(next.sent, 1);
  a.restart(false);
  drain([new TestLink(a, b)]);
  a.learn(mappingOf(1, 5));
  t.equal(a.cache.size, 0, 'also one that has forgotten it is taught it');
  t.end();
});

t.test('a peer that does not acknowledge holds the sender back, and is late in the end', (t) => {
  const a = memberWith(0, 0, 100_000);
  const link = new TestLink(a, memberWith(0, 0));
  drain([link]);
  a.learn(...Array.from({ length: 20_000 }, (_, n) => mappingOf(n)));
  const { exchange } = link.ends[0];
  t.equal(exchange.deadlineMs, null, 'who owes nothing is not late');
  link.pump(0, monoMs(7));
  t.equal(link.ends[0].onTheWay.length, MESSAGES_UNACKED_MAX);
  t.equal(exchange.lag, 20_000);
  t.equal(exchange.deadlineMs, 7 + ACK_WITHIN_MS);
  t.equal(exchange.lateness(monoMs(6 + ACK_WITHIN_MS)), null);
  t.match(exchange.lateness(monoMs(7 + ACK_WITHIN_MS)), /16 messages of changes without an answer for 10000 ms/);
  exchange.receive({ kind: 'ack', sequence: 1 + 3 });
  t.equal(exchange.lag, 20_000 - 3 * MAPPINGS_PER_MESSAGE);
  link.pump(0, monoMs(8));
  t.equal(link.ends[0].onTheWay.length, MESSAGES_UNACKED_MAX + 3);
  t.end();
});

t.test('a peer that does not answer a question is late, too', (t) => {
  const link = new TestLink(memberWith(0, 10), memberWith(0, 0));
  const { exchange } = link.ends[0];
  link.pump(0, NOW);
  while (exchange.isBusy) exchange.work();
  link.pump(0, monoMs(5));
  t.equal(link.digests, 1);
  t.match(exchange.lateness(monoMs(5 + ACK_WITHIN_MS)), /a question about differences/);
  t.end();
});

t.test('a flood past a stalled peer stays within the bound, and ends in equal caches', (t) => {
  const [a, b] = [memberWith(0, 0), memberWith(0, 0)];
  const link = new TestLink(a, b);
  drain([link]);
  for (let n = 0; n < 60_000; n++) {
    a.learn(mappingOf(n));
    if (n % 100 === 0) link.pump(0, NOW);
  }
  t.equal(a.replica.log.size, CHANGES_MAX);
  t.equal(link.ends[0].onTheWay.filter(({ kind }) => kind === 'changes').length, MESSAGES_UNACKED_MAX);
  drain([link]);
  t.equal(b.cache.size, 60_000);
  t.ok(a.content() === b.content());
  t.equal(link.ends[0].exchange.lag, 0);
  t.end();
});

t.test('news go on while a large cache is sent, and neither holds up the other', (t) => {
  const known = 30_000;
  const [a, b] = [memberWith(0, known), memberWith(0, 0)];
  const link = new TestLink(a, b);
  let n = known;
  let turns = 0;
  for (; b.cache.size < known; turns++) {
    a.learn(...Array.from({ length: 2 * MAPPINGS_PER_MESSAGE }, () => mappingOf(n++)));
    if (link.ends[0].exchange.isBusy) link.work(0);
    if (link.ends[1].exchange.isBusy) link.work(1);
    for (const side of [0, 1] as const) {
      link.pump(side, NOW, 1);
      link.deliver(side, 0);
      link.settle(side === 0 ? 1 : 0);
    }
    if (turns > 10 * known / MAPPINGS_PER_MESSAGE) break;
  }
  t.ok(b.cache.size >= known, `${b.cache.size} after ${turns} turns`);
  drain([link]);
  t.ok(a.content() === b.content());
  t.end();
});

t.test('what one member teaches reaches a third through the second, and comes back to nobody', (t) => {
  const [agent, old, successor] = [memberWith(0, 0), memberWith(0, 100), memberWith(100, 100)];
  const links = [new TestLink(agent, old), new TestLink(agent, successor)];
  drain(links);
  t.ok(old.content() === successor.content());
  const before = links.map(({ sent }) => sent);
  old.learn(mappingOf(1000));
  successor.clean({ matchPattern: mappingOf(0).name, endpointUid: null, atMs: monoMs(1) });
  drain(links);
  t.strictSame(links.map(({ sent }, i) => sent - before[i]), [2, 2], 'each change once on each link');
  for (const member of [agent, old, successor]) t.equal(member.cache.size, 200);
  t.ok(old.content() === successor.content());
  t.end();
});

t.test('a member that only listens is told how far it has come, so that it stays within the log', (t) => {
  const [a, b] = [memberWith(0, 0, 10_000), memberWith(0, 0, 10_000)];
  const link = new TestLink(a, b);
  drain([link]);
  for (let n = 0; n < 30_000; n += 100) {
    b.learn(...Array.from({ length: 100 }, (_, i) => mappingOf(n + i)));
    drain([link]);
  }
  link.cut();
  const next = new TestLink(a, b);
  drain([next]);
  t.equal(next.digests, 0);
  t.end();
});

t.test('what a peer cannot mean ends the link', (t) => {
  const exchange = new Exchange(memberWith(0, 5).replica);
  exchange.linkUp({ incarnation: 'peer', seen: null });
  while (exchange.isBusy) exchange.work();
  exchange.next(NOW);
  while (exchange.isBusy) exchange.work();
  t.match(exchange.next(NOW), { kind: 'digests', pass: 1 });
  const wrong: readonly ExchangeMessage[] = [
    { kind: 'changes', sequence: MESSAGES_UNACKED_MAX + 1, revision: 0, mappings: [], cleans: [] },
    { kind: 'digests', pass: 1, words: new Uint32Array(DIGEST_WORDS - 1) },
    { kind: 'buckets', pass: 2, buckets: [] },
    { kind: 'buckets', pass: 1, buckets: [BUCKETS] },
  ];
  for (const message of wrong) t.throws(() => exchange.receive(message), { code: 'LINK' }, message.kind);
  exchange.receive({ kind: 'ack', sequence: 99 });
  exchange.receive({ kind: 'buckets', pass: 1, buckets: [] });
  t.doesNotThrow(() => exchange.receive({ kind: 'buckets', pass: 1, buckets: [1] }), 'a repeat is harmless');
  t.end();
});

t.test('a peer that claims to have seen what was never there is told everything', (t) => {
  for (const seen of [0, 10_000, Number.MAX_SAFE_INTEGER]) {
    const exchange = new Exchange(memberWith(0, 5).replica);
    exchange.linkUp({ incarnation: 'peer', seen });
    exchange.next(NOW);
    t.ok(exchange.isBusy, `${seen}`);
  }
  t.end();
});

import t, { type Test } from 'tap';
import { EDE, RCODE } from '@tandem/dns';
import { TcpClient } from './testing/clients.js';
import { addressFor, extendedError, framed, largeAnswer, query, read } from './testing/messages.js';
import { Rig, type RigOptions } from './testing/rig.js';
import type { Asked } from './testing/upstream.js';
import { DEADLINE_MS, until, within } from './testing/wait.js';

/** What the rig has where a test says nothing else. */
const LONGER_IDLE_MS = 10_000;
/** An eighth of the rig's slots. */
const UNREAD_SLOTS = 128;

async function started(t: Test, options: RigOptions = {}): Promise<Rig> {
  const rig = await Rig.start(options);
  t.teardown(() => rig.stop());
  return rig;
}

async function connected(t: Test, rig: Rig, options: Parameters<typeof TcpClient.open>[1] = {}): Promise<TcpClient> {
  const client = await TcpClient.open(rig.server, options);
  t.teardown(() => client.close());
  return client;
}

/** Every slot is free again, and no query under way. */
function atRest(rig: Rig): Promise<void> {
  return until('slots given back', DEADLINE_MS, () => {
    const { freeSlots, underWay } = rig.plane.gauges();
    return freeSlots === rig.slotsFree && underWay === 0;
  });
}

function nameOf(message: Buffer): string {
  return read(message).questions[0].name;
}

function ids(messages: readonly Buffer[]): number[] {
  return messages.map((message) => message.readUInt16BE(0));
}

t.test('an answer is the upstream\'s, byte for byte, but for the ID', async (t) => {
  const rig = await started(t);
  const client = await connected(t, rig);
  const asked = query('www.example.');
  const answer = await client.ask(asked);
  t.strictSame(answer.subarray(0, 2), asked.subarray(0, 2), 'the ID is the client\'s');
  t.strictSame(answer.subarray(2), addressFor(rig.upstream.asked[0].query).subarray(2));
  t.equal(rig.upstream.asked[0].protocol, 'tcp', 'TCP is forwarded by TCP');
  await atRest(rig);
});

t.test('pipelined queries are answered as their answers come, each with its own', async (t) => {
  const open = new Map<string, Asked>();
  const rig = await started(t, { zone: (asked) => open.set(nameOf(asked.query), asked) });
  const client = await connected(t, rig);
  const queries = Array.from({ length: 20 }, (_, i) => query(`n${i}.example.`));
  client.send(...queries);
  await until('all asked', DEADLINE_MS, () => open.size === queries.length);
  // Each comes before the next is given: the upstream has several connections, whose answers may overtake each other.
  for (const [i, one] of [...queries].reverse().entries()) {
    const { query, answer } = open.get(nameOf(one))!;
    answer(addressFor(query));
    await client.messagesCame(i + 1);
  }
  const answers = await client.messagesCame(queries.length);
  t.strictSame(ids(answers), ids(queries).reverse(), 'out of order');
  t.strictSame(answers.map(nameOf), queries.map(nameOf).reverse());
  await atRest(rig);
});

t.test('the length and the query may come in pieces', async (t) => {
  const rig = await started(t);
  const client = await connected(t, rig);
  const bytes = framed(query('www.example.'));
  for (const end of [1, 2, 3, bytes.length]) {
    const start = [0, 1, 2, 3][[1, 2, 3, bytes.length].indexOf(end)];
    await new Promise((resolve) => client.socket.write(bytes.subarray(start, end), resolve));
    // A round trip on a second connection: the piece before has been read by then.
    const other = await connected(t, rig);
    await other.ask(query('other.example.'));
  }
  t.equal(read((await client.messagesCame(1))[0]).rcode, RCODE.noError);
});

for (const [what, frame] of [['empty', Buffer.from([0, 0])], ['shorter than a header', framed(new Uint8Array(11))]] as const) {
  t.test(`a frame that is ${what} ends its connection, and what was asked before it leaves no slot behind`, async (t) => {
    const rig = await started(t);
    const [client, other] = [await connected(t, rig), await connected(t, rig)];
    client.socket.write(Buffer.concat([framed(query('www.example.')), frame, framed(query('later.example.'))]));
    await within('closed', DEADLINE_MS, client.closed);
    t.equal(read(await other.ask(query('www.example.'))).rcode, RCODE.noError, 'others go on');
    await atRest(rig);
    t.notOk(rig.upstream.asked.some(({ query }) => read(query).questions[0].name === 'later.example.'));
  });
}

t.test('a query longer than a slot gets FORMERR, and the next one an answer', async (t) => {
  const rig = await started(t);
  const client = await connected(t, rig);
  const [long, next] = [query('long.example.'), query('next.example.')];
  client.send(Buffer.concat([long, Buffer.alloc(0xffff - long.length)]), next);
  const [first, second] = await client.messagesCame(2);
  t.match(read(first), { id: long.readUInt16BE(0), rcode: RCODE.formErr, response: true });
  t.match(read(second), { id: next.readUInt16BE(0), rcode: RCODE.noError });
  await atRest(rig);
});

t.test('more queries than one connection may have under way are held back, and all are answered', async (t) => {
  const open: Asked[] = [];
  let holding = true;
  const rig = await started(t, {
    zone: (asked) => {
      if (holding) open.push(asked);
      else asked.answer(addressFor(asked.query));
    },
  });
  const client = await connected(t, rig);
  const queries = Array.from({ length: 350 }, (_, i) => query(`n${i}.example.`));
  client.send(...queries);
  await until('a full pipeline', DEADLINE_MS, () => open.length === 100);
  const other = await connected(t, rig);
  other.send(query('other.example.'));
  await until('another connection\'s query', DEADLINE_MS, () => open.length === 101);
  t.equal(rig.plane.gauges().underWay, 101, 'one connection has a hundred at most');
  holding = false;
  for (const one of open) one.answer(addressFor(one.query));
  t.strictSame(ids(await client.messagesCame(350)).sort(), ids(queries).sort());
  await other.messagesCame(1);
  await atRest(rig);
});

t.test('queries for which slots are short are answered all the same, each on its own question', async (t) => {
  // 64 slots: 28 queries under way at most; others are shed with SERVFAIL, none is lost.
  const rig = await started(t, { settings: { slots: 64 }, zone: (asked) => setImmediate(() => asked.answer(addressFor(asked.query))) });
  const clients = await Promise.all(['127.0.0.1', '127.0.0.3', '127.0.0.1', '127.0.0.3'].map((from) => connected(t, rig, { from })));
  const asked = clients.map((client, c) => {
    const queries = Array.from({ length: 200 }, (_, i) => query(`${'x'.repeat(1 + ((c * 7 + i) % 40))}.n${c}-${i}.example.`));
    client.send(...queries);
    return new Map(queries.map((one) => [one.readUInt16BE(0), read(one).questions[0].name]));
  });
  for (const [c, client] of clients.entries()) {
    const answers = await client.messagesCame(200);
    t.strictSame(answers.map((answer) => read(answer).questions[0].name), ids(answers).map((id) => asked[c].get(id)));
    t.equal(new Set(ids(answers)).size, 200, 'one each');
  }
  t.equal(rig.plane.counters.get('upstream_timeout'), 0, 'no answer went astray');
  await atRest(rig);
  await until('the answers to shed queries, and no more', DEADLINE_MS, () => rig.plane.counters.get('upstream_unmatched') === rig.plane.counters.get('asked') - rig.plane.counters.get('answered'));
});

t.test('a connection without a query is closed after the idle time, not before', async (t) => {
  const rig = await started(t, { settings: { tcpIdleTimeoutMs: 600 } });
  const begin = performance.now();
  const client = await connected(t, rig);
  await within('closed', LONGER_IDLE_MS / 2, client.closed);
  t.ok(performance.now() - begin >= 590, 'not before');
  await until('counted', DEADLINE_MS, () => rig.plane.gauges().tcpConnections === 0);
});

t.test('bytes that never make up a query do not keep a connection', async (t) => {
  const rig = await started(t, { settings: { tcpIdleTimeoutMs: 600 } });
  const client = await connected(t, rig);
  let dripped = 0;
  const drip = setInterval(() => {
    client.socket.write(Buffer.from([1]));
    dripped++;
  }, 40);
  t.teardown(() => clearInterval(drip));
  await within('closed', LONGER_IDLE_MS / 2, client.closed);
  t.ok(dripped > 5, `${dripped} bytes`);
});

t.test('a connection whose answer takes longer than the idle time is not idle', async (t) => {
  const open: Asked[] = [];
  const rig = await started(t, {
    settings: { tcpIdleTimeoutMs: 500 },
    zone: (asked) => open.push(asked),
  });
  const client = await connected(t, rig);
  client.send(query('slow.example.'));
  await until('asked', DEADLINE_MS, () => open.length === 1);
  const idle = await connected(t, rig);
  await within('a later connection without a query closed', DEADLINE_MS, idle.closed);
  open[0].answer(addressFor(open[0].query));
  t.equal(read((await client.messagesCame(1))[0]).rcode, RCODE.noError);
});

t.test('one client has so many connections, and others are not hindered', async (t) => {
  const rig = await started(t, { settings: { tcpConnectionsPerClient: 3 } });
  const kept = [await connected(t, rig), await connected(t, rig), await connected(t, rig)];
  for (const client of kept) await client.ask(query('www.example.'));
  const surplus = await connected(t, rig);
  await within('closed', DEADLINE_MS, surplus.closed);
  const other = await connected(t, rig, { from: '127.0.0.3' });
  t.equal(read(await other.ask(query('www.example.'))).rcode, RCODE.noError);
  kept[0].close();
  await until('one gone', DEADLINE_MS, () => rig.plane.gauges().tcpConnections === 3);
  t.equal(read(await (await connected(t, rig)).ask(query('www.example.'))).rcode, RCODE.noError, 'its place is free again');
});

t.test('at the limit of connections the longest idle one makes room', async (t) => {
  const rig = await started(t, { settings: { tcpConnections: 3 } });
  const clients = [await connected(t, rig), await connected(t, rig), await connected(t, rig)];
  for (const client of clients) await client.ask(query('www.example.'));
  await clients[0].ask(query('again.example.'));
  const other = await connected(t, rig);
  t.equal(read(await other.ask(query('www.example.'))).rcode, RCODE.noError);
  await within('the longest idle one closed', DEADLINE_MS, clients[1].closed);
  for (const client of [clients[0], clients[2], other]) t.equal(read(await client.ask(query('www.example.'))).rcode, RCODE.noError);
});

t.test('where every connection has a query under way, a further one waits for its place', async (t) => {
  const open: Asked[] = [];
  const rig = await started(t, { settings: { tcpConnections: 2 }, zone: (asked) => open.push(asked) });
  const clients = [await connected(t, rig), await connected(t, rig)];
  for (const client of clients) client.send(query('slow.example.'));
  await until('both asked', DEADLINE_MS, () => open.length === 2);
  const waiting = await connected(t, rig);
  waiting.send(query('waiting.example.'));
  for (const one of open) one.answer(addressFor(one.query));
  for (const client of clients) await client.messagesCame(1);
  await until('the third asked', DEADLINE_MS, () => open.length === 3);
  open[2].answer(addressFor(open[2].query));
  await waiting.messagesCame(1);
});

t.test('a client that never reads is held back, closed when idle, and leaves nothing behind', async (t) => {
  const rig = await started(t, {
    settings: { tcpIdleTimeoutMs: 1000 },
    zone: (asked) => asked.answer(largeAnswer(asked.query, 60_000)),
  });
  const client = await connected(t, rig);
  client.socket.pause();
  await until('accepted', DEADLINE_MS, () => rig.plane.gauges().tcpConnections === 1);
  const closed = until('the connection given up', DEADLINE_MS, () => rig.plane.gauges().tcpConnections === 0);
  for (let i = 0; i < 40; i++) client.send(...Array.from({ length: 50 }, (_, j) => query(`n${i}-${j}.example.`, 'TXT')));
  const other = await connected(t, rig, { from: '127.0.0.3' });
  t.equal(read(await other.ask(query('www.example.', 'TXT'))).rcode, RCODE.noError, 'others are served meanwhile');
  other.close();
  await closed;
  await atRest(rig);
});

t.test('one client\'s unread answers leave slots for others, and cost others no connection', async (t) => {
  // So short that a hundred of them may wait on a connection, and more of them than the kernel takes.
  const rig = await started(t, { settings: { tcpIdleTimeoutMs: 60_000 }, zone: (asked) => asked.answer(largeAnswer(asked.query, 2400)) });
  const greedy = await Promise.all([connected(t, rig), connected(t, rig)]);
  for (const client of greedy) {
    client.socket.pause();
    client.send(...Array.from({ length: 6000 }, (_, i) => query(`n${i}.example.`, 'TXT')));
  }
  await until('one of the two to be closed', DEADLINE_MS, () => rig.plane.gauges().tcpConnections === 1);
  const polite = await connected(t, rig, { from: '127.0.0.3' });
  for (let i = 0; i < 20; i++) t.equal(read(await polite.ask(query(`p${i}.example.`, 'TXT'))).rcode, RCODE.noError);
  await until('slots of what is read by nobody', DEADLINE_MS, () => rig.plane.gauges().underWay === 0);
  const { freeSlots } = rig.plane.gauges();
  t.ok(freeSlots >= rig.slotsFree - UNREAD_SLOTS, `${freeSlots} of ${rig.slotsFree} slots are free`);
  for (const client of greedy) client.close();
  await atRest(rig);
});

t.test('a client that ends its half after its queries gets every answer, then the end', async (t) => {
  const open: Asked[] = [];
  const rig = await started(t, { zone: (asked) => open.push(asked) });
  const client = await connected(t, rig, { allowHalfOpen: true });
  const queries = Array.from({ length: 150 }, (_, i) => query(`n${i}.example.`));
  client.send(...queries);
  client.socket.end();
  await until('as many as may be under way', DEADLINE_MS, () => open.length === 100);
  rig.upstream.zone = (asked) => asked.answer(addressFor(asked.query));
  for (const one of open) one.answer(addressFor(one.query));
  await within('the end', DEADLINE_MS, client.ended);
  t.strictSame(ids(client.received).sort(), ids(queries).sort());
  await atRest(rig);
});

t.test('an upstream that closes with questions open is asked again', async (t) => {
  const rig = await started(t, {
    zone: (asked) => {
      if (rig.upstream.connectionsMade === 1) asked.connection?.destroy();
      else asked.answer(addressFor(asked.query));
    },
  });
  const client = await connected(t, rig);
  const answer = await client.ask(query('www.example.'));
  t.equal(read(answer).rcode, RCODE.noError);
  t.equal(rig.plane.counters.get('retried'), 1);
  await atRest(rig);
});

t.test('a second try does not go where the first was lost: on a connection that has fallen silent', async (t) => {
  let silent: unknown = null;
  const rig = await started(t, {
    zone: (asked) => {
      if (asked.connection !== silent) asked.answer(addressFor(asked.query));
      silent ??= asked.connection;
    },
  });
  const client = await connected(t, rig);
  t.equal(read(await client.ask(query('first.example.'))).rcode, RCODE.noError);
  t.equal(rig.upstream.connectionsMade, 1);
  t.equal(read(await client.ask(query('second.example.'))).rcode, RCODE.noError);
  t.equal(rig.plane.counters.get('retried'), 1);
  t.equal(rig.upstream.connectionsMade, 2);
  t.equal(read(await client.ask(query('third.example.'))).rcode, RCODE.noError);
  t.equal(rig.plane.counters.get('retried'), 1, 'nor does another question');
  await atRest(rig);
});

t.test('an upstream that closes each time gives SERVFAIL that says why, at once', async (t) => {
  const rig = await started(t, { zone: (asked) => asked.connection?.destroy() });
  const client = await connected(t, rig);
  const begin = performance.now();
  const answer = await client.ask(query('www.example.'));
  t.ok(performance.now() - begin < 900, 'no time-out was waited for');
  t.equal(read(answer).rcode, RCODE.servFail);
  t.equal(extendedError(answer), EDE.noReachableAuthority);
  await atRest(rig);
});

t.test('an upstream that refuses connections gives SERVFAIL that says why, at once', async (t) => {
  const rig = await started(t);
  await rig.upstream.refuseTcp();
  const client = await connected(t, rig);
  const begin = performance.now();
  const answer = await client.ask(query('www.example.'));
  t.ok(performance.now() - begin < 900, 'no time-out was waited for');
  t.equal(read(answer).rcode, RCODE.servFail);
  t.equal(extendedError(answer), EDE.noReachableAuthority);
  await atRest(rig);
});

t.test('large answers come whole', async (t) => {
  const rig = await started(t, { zone: (asked) => asked.answer(largeAnswer(asked.query, 60_000)) });
  const client = await connected(t, rig);
  const queries = Array.from({ length: 60 }, (_, i) => query(`n${i}.example.`, 'TXT'));
  client.send(...queries);
  for (const answer of await client.messagesCame(60)) {
    const asked = queries.find((one) => one.readUInt16BE(0) === answer.readUInt16BE(0))!;
    t.ok(answer.length > 50_000);
    t.ok(answer.equals(largeAnswer(asked, 60_000)));
  }
  await atRest(rig);
});

t.test('a client that resets in mid-query leaves no slot and no connection behind', async (t) => {
  const open: Asked[] = [];
  const rig = await started(t, { zone: (asked) => open.push(asked) });
  const clients = await Promise.all(Array.from({ length: 5 }, () => connected(t, rig)));
  for (const client of clients) client.send(...Array.from({ length: 10 }, () => query('www.example.')));
  await until('all asked', DEADLINE_MS, () => open.length === 50);
  for (const client of clients) client.socket.resetAndDestroy();
  await until('connections gone', DEADLINE_MS, () => rig.plane.gauges().tcpConnections === 0);
  for (const one of open) one.answer(addressFor(one.query));
  await atRest(rig);
  t.strictSame(rig.crashes, []);
});

t.test('a query that is shed makes room for another client\'s, whose answer is found', async (t) => {
  // 1024 slots: 460 queries under way at most. The greedy client has hundreds waiting in its connections.
  const rig = await started(t, {
    zone: (asked) => { if (read(asked.query).questions[0].name === 'b.') asked.answer(addressFor(asked.query)); },
  });
  const greedy = await Promise.all(Array.from({ length: 6 }, () => connected(t, rig)));
  for (const client of greedy) client.send(...Array.from({ length: 150 }, (_, i) => query(`a-long-name-${i}.`.padEnd(50, 'x') + '.example.')));
  await until('no room', DEADLINE_MS, () => rig.plane.gauges().underWay === 460);
  const modest = await connected(t, rig, { from: '127.0.0.3' });
  t.equal(read(await modest.ask(query('b.'))).rcode, RCODE.noError);
  t.equal(rig.plane.counters.get('upstream_unmatched'), 0);
});

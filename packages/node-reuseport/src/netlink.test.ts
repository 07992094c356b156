import { execFileSync } from 'node:child_process';
import t from 'tap';
import { closeFd, NETLINK, netlinkExchange, openNetlink, Readable, receiveNetlink, sendNetlink } from './index.js';
import { enterOwnNamespace } from './testing/namespace.js';
import { attribute, batch, concat, Flag, linkInfo, message, messagesIn, newTable, setElements, text } from './testing/netlink-messages.js';

enterOwnNamespace();

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTNLGRP_LINK = 1;
const IFLA_IFNAME = 3;
const EAGAIN = 11;
const EEXIST = 17;
const ENODEV = 19;
const EINVAL = 22;
const EMSGSIZE = 90;
const ENOBUFS = 105;
const patience = { deadlineMs: 5000, bytesMax: 4 << 20 };

const route = { protocol: NETLINK.route, ...patience };
const netfilter = { protocol: NETLINK.netfilter, ...patience };
const dumpLinks = (sequence: number): Uint8Array => message(RTM_GETLINK, Flag.DUMP, sequence, linkInfo());
const nft = (script: string): string => execFileSync('nft', ['-f', '-'], { input: script, encoding: 'utf8' });
const ip = (...args: readonly string[]): void => void execFileSync('ip', args);

t.test('one message is answered and acknowledged', async (t) => {
  const reply = await netlinkExchange({ ...route, request: message(RTM_GETLINK, Flag.ACK, 7, linkInfo(), attribute(IFLA_IFNAME, text('lo'))) });
  t.match(reply, { errno: 0, sequence: 0, message: '' });
  t.match(messagesIn(reply.messages), [{ type: RTM_NEWLINK, sequence: 7 }]);
});

t.test('what is asked by a socket that stays is answered there', (t) => {
  const fd = openNetlink({ protocol: NETLINK.route });
  t.teardown(() => closeFd(fd));
  const into = new Uint8Array(65_536);
  t.equal(sendNetlink(fd, message(RTM_GETLINK, 0, 11, linkInfo(), attribute(IFLA_IFNAME, text('lo')))), 0);
  t.match(messagesIn(into.subarray(0, receiveNetlink(fd, into))), [{ type: RTM_NEWLINK, sequence: 11 }]);
  t.equal(receiveNetlink(fd, into), -EAGAIN, 'and nothing else is');
  t.equal(sendNetlink(fd, new Uint8Array(8 << 20)), -EMSGSIZE);
  t.throws(() => sendNetlink(-1, new Uint8Array(1)), RangeError);
  t.end();
});

t.test('a dump of many parts is whole, and one request may hold several', async (t) => {
  const links = 300;
  const script = Array.from({ length: links }, (_, i) => `link add d${String(i)} type bridge`).join('\n');
  execFileSync('ip', ['-batch', '-'], { input: script });
  const reply = await netlinkExchange({ ...route, request: concat(dumpLinks(1), dumpLinks(2)) });
  t.equal(reply.errno, 0);
  const found = messagesIn(reply.messages).map(({ sequence }) => sequence);
  for (const sequence of [1, 2]) t.equal(found.filter((one) => one === sequence).length, links + 1);
});

t.test('a refusal names the message, and has the kernel\'s own words', async (t) => {
  const absent = await netlinkExchange({ ...route, request: message(RTM_GETLINK, Flag.ACK, 9, linkInfo(4_000_000)) });
  t.match(absent, { errno: ENODEV, sequence: 9 });
  const spoiled = linkInfo();
  spoiled[2] = 99;
  const strict = await netlinkExchange({ ...route, request: message(RTM_GETLINK, Flag.DUMP, 10, spoiled) });
  t.match(strict, { errno: EINVAL, sequence: 10, message: /Invalid values in header for link dump request/ });
});

t.test('a batch is done as a whole or not at all, and its first refusal is told', async (t) => {
  t.match(await netlinkExchange({ ...netfilter, request: batch(newTable(1, 'one'), newTable(2, 'two')) }), { errno: 0 });
  const refused = await netlinkExchange({
    ...netfilter,
    request: batch(newTable(3, 'three'), newTable(4, 'one', Flag.EXCL), newTable(5, 'two', Flag.EXCL)),
  });
  t.match(refused, { errno: EEXIST, sequence: 4 });
  t.notMatch(nft('list tables'), /three/);
});

t.test('a thousand acknowledgements at once are all read', async (t) => {
  nft('add table inet many; add set inet many s { type ipv4_addr; }');
  const each = Array.from({ length: 1000 }, (_, i) => setElements('add', i + 1, { table: 'many', set: 's' }, [i + 1]));
  t.match(await netlinkExchange({ ...netfilter, request: batch(...each) }), { errno: 0 });
  t.equal((JSON.parse(execFileSync('nft', ['-j', 'list', 'set', 'inet', 'many', 's'], { encoding: 'utf8' })) as { nftables: { set?: { elem: unknown[] } }[] })
    .nftables.find(({ set }) => set !== undefined)?.set?.elem.length, 1000);
});

t.test('what the kernel has done is told, also where it took longer than the deadline', async (t) => {
  nft('add table inet late; add set inet late s { type ipv4_addr; }');
  const each = Array.from({ length: 3000 }, (_, i) => setElements('add', i + 1, { table: 'late', set: 's' }, [i + 1]));
  t.match(await netlinkExchange({ ...netfilter, deadlineMs: 1, request: batch(...each) }), { errno: 0, message: '' });
});

t.test('a reply larger than allowed is refused, not cut', async (t) => {
  t.match(await netlinkExchange({ ...route, bytesMax: 1000, request: dumpLinks(1) }), { errno: EMSGSIZE, message: /larger than allowed/ });
});

t.test('what makes no sense is refused before the kernel sees it', async (t) => {
  const invalid = { code: 'ERR_INVALID_ARG_VALUE' };
  const good = dumpLinks(1);
  await t.rejects(netlinkExchange({ ...route, protocol: 9, request: good }), invalid);
  await t.rejects(netlinkExchange({ ...route, deadlineMs: 0, request: good }), invalid);
  await t.rejects(netlinkExchange({ ...route, bytesMax: -1, request: good }), invalid);
  await t.rejects(netlinkExchange({ ...route, request: new Uint8Array(0) }), invalid);
  await t.rejects(netlinkExchange({ ...route, request: good.subarray(0, 20) }), invalid);
  await t.rejects(netlinkExchange({ ...route, request: message(RTM_GETLINK, 0, 1, linkInfo(1)) }), /one asks for an answer/);
  const silentEnd = concat(good, message(RTM_GETLINK, 0, 2, linkInfo(1)));
  await t.rejects(netlinkExchange({ ...route, request: silentEnd }), invalid);
  t.throws(() => openNetlink({ protocol: 4 }), invalid);
  t.throws(() => openNetlink({ protocol: NETLINK.route, groups: [0] }), invalid);
  t.throws(() => openNetlink({ protocol: NETLINK.route, groups: [1000] }), { code: 'EINVAL' });
});

/** Resolves at the first call back. */
function readableOnce(fd: number): Promise<void> {
  return new Promise((resolve) => {
    const readable = new Readable(fd, () => {
      readable.close();
      readable.close();
      resolve();
    });
  });
}

t.test('events come to a socket that has joined their group, and its readiness is told', async (t) => {
  const fd = openNetlink({ protocol: NETLINK.route, groups: [RTNLGRP_LINK] });
  const into = new Uint8Array(65536);
  t.equal(receiveNetlink(fd, into), -EAGAIN);
  const readable = readableOnce(fd);
  // Something that keeps the process alive: readiness does not.
  const alive = setInterval(() => undefined, 1000);
  ip('link', 'add', 'seen', 'type', 'bridge');
  await readable;
  clearInterval(alive);
  const length = receiveNetlink(fd, into);
  t.match(messagesIn(into.subarray(0, length)), [{ type: RTM_NEWLINK }]);
  ip('link', 'del', 'seen');
  t.equal(receiveNetlink(fd, new Uint8Array(64)), -EMSGSIZE, 'a datagram that does not fit is told, not cut');
  closeFd(fd);
});

t.test('lost events are told, as readiness and as ENOBUFS, and the socket goes on', async (t) => {
  const fd = openNetlink({ protocol: NETLINK.route, groups: [RTNLGRP_LINK], receiveBufferBytes: 4096 });
  for (let i = 0; i < 20; i++) ip('link', 'set', 'lo', 'mtu', String(1500 + i));
  const into = new Uint8Array(65536);
  const seen: number[] = [];
  const alive = setInterval(() => undefined, 1000);
  for (let rounds = 0; !seen.includes(-ENOBUFS) && rounds < 30; rounds++) {
    await readableOnce(fd);
    seen.push(receiveNetlink(fd, into));
  }
  t.ok(seen.includes(-ENOBUFS), String(seen));
  while (receiveNetlink(fd, into) > 0);
  const again = readableOnce(fd);
  ip('link', 'set', 'lo', 'mtu', '1400');
  await again;
  clearInterval(alive);
  t.ok(receiveNetlink(fd, into) > 0);
  closeFd(fd);
});

t.test('a descriptor that cannot be waited for is refused', (t) => {
  t.throws(() => new Readable(1_000_000, () => undefined), { code: 'EBADF' });
  t.end();
});

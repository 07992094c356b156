/** A data plane whose peer is the test: what it says late or wrongly leaves nothing open behind. */
import { fstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import t, { type Test } from 'tap';
import { formatSocketAddress, type SocketAddress } from '@tandem/core';
import { acceptConnection, closeFd, connectUnix, Journal, layoutVersion, listenUnix, openSocket, receiveInto } from 'node-reuseport';
import { HANDOVER_PROTOCOL, type HandoverMessage, handoverSocketPath, receiveHandover, sendHandover } from './handover-messages.js';
import { regionBytes } from './shared-region.js';
import { bindListener, closeListener, createListener, type Listener } from './listeners.js';
import { freeAddress } from '../testing/free-address.js';
import { TcpClient, UdpClient } from './testing/clients.js';
import { query, read } from './testing/messages.js';
import { newDir, Rig } from './testing/rig.js';
import { DEADLINE_MS, until } from './testing/wait.js';

const HELLO: HandoverMessage = { kind: 'hello', protocol: HANDOVER_PROTOCOL, role: 'dns-proxy', layout: layoutVersion, listen: [] };

function runDir(t: Test): string {
  const dir = newDir();
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function openDescriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      // The one of the listing itself.
      return [];
    }
  });
}

/** Without bound UDP sockets: of those to the upstream the data plane replaces one each second. */
function lastingDescriptors(): string[] {
  const bound = (): string[] => readFileSync('/proc/self/net/udp', 'utf8').split('\n').slice(1).map((line) => `socket:[${line.trim().split(/\s+/)[9]}]`);
  const before = bound();
  const open = openDescriptors();
  const replaced = new Set([...before, ...bound()]);
  return open.filter((name) => !replaced.has(name));
}

/** The next message of this kind; others, with their descriptors, are dropped. */
async function said(fd: number, kind: HandoverMessage['kind'] | 'end'): Promise<void> {
  await until(kind, DEADLINE_MS, () => {
    for (;;) {
      const received = receiveHandover(fd);
      if (received === 'end') return kind === 'end';
      if (received === 'none') return false;
      received.fds.forEach(closeFd);
      if (received.message.kind === kind) return true;
    }
  });
}

async function accepted(listener: number): Promise<number> {
  let fd = -1;
  await until('a connection of the member', DEADLINE_MS, () => (fd = acceptConnection(listener)) >= 0);
  return fd;
}

t.test('sockets that a peer hands back too late are closed, and its word that it holds ours is still heard', async (t) => {
  const dir = runDir(t);
  const listener = listenUnix(handoverSocketPath(dir, 'dns-proxy'), 0o600);
  t.teardown(() => closeFd(listener));
  const starting = Rig.start({ settings: { runDir: dir } });
  // Asked first which journals it can read, on a connection of its own.
  const first = await accepted(listener);
  sendHandover(first, { kind: 'welcome', protocol: HANDOVER_PROTOCOL, layout: layoutVersion, listen: [] });
  const fd = await accepted(listener);
  await said(fd, 'share');
  const [udp, tcp] = [openSocket({ type: 'udp', family: 4 }), openSocket({ type: 'tcp', family: 4 })];
  sendHandover(fd, { kind: 'welcome', protocol: HANDOVER_PROTOCOL, layout: layoutVersion, listen: ['127.0.0.1:5353'] }, [udp, tcp]);
  sendHandover(fd, { kind: 'taken' });
  await said(fd, 'reading');
  const rig = await starting;
  for (const socket of [udp, tcp]) {
    const name = `socket:[${fstatSync(socket).ino}]`;
    t.equal(openDescriptors().filter((open) => open === name).length, 1, 'ours alone');
  }
  await rig.stop();
  for (const each of [first, fd, udp, tcp]) closeFd(each);
});

t.test('a share that cannot be held leaves nothing open, however often it comes', async (t) => {
  const dir = runDir(t);
  const rig = await Rig.start({ settings: { runDir: dir } });
  t.teardown(() => rig.stop());
  // The region beside it is of no version.
  const journal = Journal.create({ slots: 64, batch: 4, extraBytes: regionBytes(4) });
  const sockets = [openSocket({ type: 'udp', family: 4 }), openSocket({ type: 'tcp', family: 4 })];
  const before = lastingDescriptors().length;
  for (let times = 0; times < 10; times++) {
    const fd = connectUnix(handoverSocketPath(dir, 'agent'));
    sendHandover(fd, HELLO);
    sendHandover(fd, { kind: 'share', listen: ['127.0.0.1:5353'] }, [journal.fd, ...sockets]);
    await said(fd, 'end');
    closeFd(fd);
  }
  t.equal(lastingDescriptors().length, before);
  t.match(rig.warnings, [/region beside the peer's journal/]);
  for (const each of sockets) closeFd(each);
  journal.release();
});

t.test('a member that gave its sockets and ended is not listened to again, while another is waited for', async (t) => {
  const dir = runDir(t);
  const listener = listenUnix(handoverSocketPath(dir, 'dns-proxy'), 0o600);
  t.teardown(() => closeFd(listener));
  const held = bindListener(createListener(await freeAddress()));
  const journal = Journal.create({ slots: 64, batch: 4 });
  const starting = Rig.start({ settings: { runDir: dir } });
  const welcome: HandoverMessage = { kind: 'welcome', protocol: HANDOVER_PROTOCOL, layout: layoutVersion, listen: [] };
  const first = await accepted(listener);
  sendHandover(first, welcome);
  const fd = await accepted(listener);
  const ended = connectUnix(handoverSocketPath(dir, 'agent'));
  sendHandover(ended, HELLO);
  sendHandover(ended, { kind: 'share', listen: [formatSocketAddress(held.address)] }, [journal.fd, held.udp, held.tcp]);
  await said(ended, 'taken');
  closeFd(ended);
  const other = connectUnix(handoverSocketPath(dir, 'agent'));
  // All connections are looked at before one is again: the end is seen in the first turn.
  for (let turns = 0; turns < 3; turns++) {
    sendHandover(other, HELLO);
    await said(other, 'welcome');
  }
  sendHandover(fd, welcome);
  sendHandover(fd, { kind: 'taken' });
  const rig = await starting;
  t.strictSame(rig.warnings, []);
  t.equal(rig.plane.gauges().adopted, 1, 'it is answered for');
  await rig.stop();
  closeListener(held);
  journal.release();
  for (const each of [first, fd, other]) closeFd(each);
});

t.test('the peer says how many workers it has; one that says nothing of it has one', async (t) => {
  const dir = runDir(t);
  const rig = await Rig.start({ settings: { runDir: dir } });
  t.teardown(() => rig.stop());
  t.equal(rig.plane.gauges().peerWorkers, 0);
  for (const [workers, expected] of [[undefined, 1], [2, 2]] as const) {
    const journal = Journal.create({ slots: 64, batch: 4 });
    const sockets = [openSocket({ type: 'udp', family: 4 }), openSocket({ type: 'tcp', family: 4 })];
    const fd = connectUnix(handoverSocketPath(dir, 'agent'));
    sendHandover(fd, { ...HELLO, ...(workers === undefined ? {} : { workers }) });
    sendHandover(fd, { kind: 'share', listen: ['127.0.0.1:5353'] }, [journal.fd, ...sockets]);
    await said(fd, 'taken');
    await until('its workers', DEADLINE_MS, () => rig.plane.gauges().peerWorkers === expected);
    for (const each of [fd, ...sockets]) closeFd(each);
    await until('its end', DEADLINE_MS, () => rig.plane.gauges().peerWorkers === 0);
    journal.release();
  }
});

t.test('what a worker of the peer without counterpart holds is read here, and it is told so', async (t) => {
  const dir = runDir(t);
  const listener = listenUnix(handoverSocketPath(dir, 'dns-proxy', 1), 0o600);
  t.teardown(() => closeFd(listener));
  const address = await freeAddress();
  const text = formatSocketAddress(address);
  const held = bindListener(createListener(address));
  const starting = Rig.start({ settings: { runDir: dir, listen: [address] } });
  const fd = await accepted(listener);
  sendHandover(fd, { kind: 'welcome', protocol: HANDOVER_PROTOCOL, layout: layoutVersion, listen: [text] }, [held.udp, held.tcp]);
  closeListener(held);
  await said(fd, 'reading');
  await said(fd, 'end');
  const rig = await starting;
  t.teardown(() => rig.stop());
  const client = await UdpClient.open('127.0.0.1');
  t.teardown(() => client.close());
  t.equal(read((await client.ask(query('x.example.test'), address)).bytes).rcode, 0, 'nobody else has the socket');
  closeFd(fd);
});

/** Enough flows that a socket beside the one that is read would get some. */
const FLOWS = 20;

async function answered(t: Test, address: SocketAddress): Promise<void> {
  for (let i = 0; i < FLOWS; i++) {
    const client = await UdpClient.open('127.0.0.1');
    t.equal(read((await client.ask(query(`x${i}.example.test`), address)).bytes).rcode, 0);
    client.close();
  }
}

/** Gives these to the member, as another that starts does. */
async function shared(dir: string, sockets: readonly Listener[]): Promise<number> {
  const journal = Journal.create({ slots: 64, batch: 4 });
  const fd = connectUnix(handoverSocketPath(dir, 'agent'));
  sendHandover(fd, HELLO);
  sendHandover(fd, { kind: 'share', listen: sockets.map(({ address }) => formatSocketAddress(address)) }, [journal.fd, ...sockets.flatMap(({ udp, tcp }) => [udp, tcp])]);
  await said(fd, 'taken');
  journal.release();
  return fd;
}

t.test('a peer that ends before it has bound its sockets leaves nobody deaf', async (t) => {
  const dir = runDir(t);
  const rig = await Rig.start({ settings: { runDir: dir } });
  t.teardown(() => rig.stop());
  const unbound = createListener(await freeAddress());
  closeFd(await shared(dir, [unbound]));
  closeListener(unbound);
  await until('its end', DEADLINE_MS, () => rig.plane.gauges().adopted === 1);
  const client = await TcpClient.open(rig.server);
  client.send(query('x.example.test'));
  t.equal(read((await client.messagesCame(1))[0]).rcode, 0);
  client.socket.destroy();
});

t.test('sockets that are handed back unbound are bound; for an address that has none there is a new one', async (t) => {
  const [first, second] = [await freeAddress(), await freeAddress()];
  for (const isOther of [false, true]) {
    const offered = isOther ? bindListener(createListener(first)) : createListener(first);
    const dir = runDir(t);
    const listener = listenUnix(handoverSocketPath(dir, 'dns-proxy'), 0o600);
    const starting = Rig.start({ settings: { runDir: dir, listen: [first, ...(isOther ? [second] : [])] } });
    // Asked first which journals it can read, on a connection of its own.
    const probe = await accepted(listener);
    sendHandover(probe, { kind: 'welcome', protocol: HANDOVER_PROTOCOL, layout: layoutVersion, listen: [] });
    const fd = await accepted(listener);
    sendHandover(fd, { kind: 'welcome', protocol: HANDOVER_PROTOCOL, layout: layoutVersion, listen: [formatSocketAddress(first)] }, [offered.udp, offered.tcp]);
    await said(fd, 'share');
    sendHandover(fd, { kind: 'taken' });
    const rig = await starting;
    // The offered one is open here, too, and not read.
    await answered(t, first);
    if (isOther) await answered(t, second);
    await rig.stop();
    closeListener(offered);
    for (const each of [probe, fd, listener]) closeFd(each);
  }
});

t.test('what a dead member leaves is read on where its successor has other sockets', async (t) => {
  const dir = runDir(t);
  const rig = await Rig.start({ settings: { runDir: dir } });
  t.teardown(() => rig.stop());
  const [left, other] = [bindListener(createListener(await freeAddress())), bindListener(createListener(await freeAddress()))];
  closeFd(await shared(dir, [left]));
  await until('its end', DEADLINE_MS, () => rig.plane.gauges().adopted === 1);
  closeListener(left);
  const successor = await shared(dir, [other]);
  sendHandover(successor, { kind: 'reading' });
  await until('the successor to be heard', DEADLINE_MS, () => rig.plane.gauges().adopted === 0);
  await answered(t, left.address);
  closeFd(successor);
  closeListener(other);
});

t.test('what a worker of another number takes over of a dead member is left to it whole', async (t) => {
  const dir = runDir(t);
  const rig = await Rig.start({ settings: { runDir: dir } });
  t.teardown(() => rig.stop());
  const left = bindListener(createListener(await freeAddress()));
  closeFd(await shared(dir, [left]));
  await until('its end', DEADLINE_MS, () => rig.plane.gauges().adopted === 1);
  const other = connectUnix(handoverSocketPath(dir, 'agent'));
  sendHandover(other, HELLO);
  await said(other, 'welcome');
  sendHandover(other, { kind: 'reading' });
  await until('it to be heard', DEADLINE_MS, () => rig.plane.gauges().adopted === 0);
  const client = await UdpClient.open('127.0.0.1');
  for (let i = 0; i < FLOWS; i++) client.send(query(`x${i}.example.test`), left.address);
  // One query more over its own address: once it is answered, the member has turned since.
  t.equal(read((await client.ask(query('x.example.test'), rig.server)).bytes).rcode, 0);
  const into = Buffer.alloc(512);
  for (let i = 0; i < FLOWS; i++) t.ok(receiveInto(left.udp, into, 0, into.length, false) > 0, 'the successor has it');
  client.close();
  closeFd(other);
  closeListener(left);
});

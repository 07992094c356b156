import { closeSync, constants, fsyncSync, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { bootTimeMs, closeFd, extraBytesMax, Journal, layoutVersion, oldestLayoutVersion, Reactor, scan, Take, unixSocketPair } from './index.js';
import { Side } from './testing/harness.js';

t.test('two mappings of one journal show the same bytes', (t) => {
  const made = Journal.create({ slots: 100, batch: 8 });
  const seen = Journal.open(made.fd);
  t.same(seen.layout, made.layout);
  t.not(seen.fd, made.fd);
  new Uint32Array(made.buffer)[made.layout.cursorOffset / 4] = 42;
  t.equal(new Uint32Array(seen.buffer)[seen.layout.cursorOffset / 4], 42);
  new Uint8Array(seen.buffer)[seen.layout.totalBytes - 1] = 9;
  t.equal(new Uint8Array(made.buffer)[made.layout.totalBytes - 1], 9);
  t.equal(new Uint32Array(seen.buffer)[seen.layout.ownerPidOffset / 4], process.pid);
  made.release();
  t.equal(new Uint32Array(seen.buffer)[seen.layout.cursorOffset / 4], 42, 'the memory lives while somebody maps it');
  seen.release();
  t.end();
});

t.test('the parts lie in order and inside the mapping, slots and answers on odd numbers of cache lines', (t) => {
  const { layout: l, buffer } = Journal.create({ slots: 1000, batch: 64 });
  t.equal(buffer.byteLength, l.totalBytes);
  t.equal(l.transmitCapacity, 256);
  t.equal((l.slotStride / 64) % 2, 1);
  t.equal((l.answerStride / 64) % 2, 1);
  t.equal(l.payloadOffset + l.payloadCapacity, l.slotStride);
  const order = [
    l.applicationOffset,
    l.stateOffset,
    l.slotOffset,
    l.receiveHeaderOffset,
    l.receiveIndexOffset,
    l.transmitHeaderOffset,
    l.transmitRecordOffset,
    l.answerOffset,
    l.heldAnswerOffset,
    l.scratchOffset,
    l.totalBytes,
  ];
  t.same([...order].sort((x, y) => x - y), order);
  t.ok(l.heldAnswerOffset + l.heldAnswerCount * l.answerStride < l.scratchOffset);
  t.ok(l.scratchOffset + l.scratchCount * l.scratchStride <= l.totalBytes);
  t.end();
});

t.test('no process can resize a journal under another one', (t) => {
  const journal = Journal.create({ slots: 4, batch: 2 });
  t.throws(() => { ftruncateSync(journal.fd, 0); }, { code: 'EPERM' });
  t.throws(() => { ftruncateSync(journal.fd, journal.layout.totalBytes * 2); }, { code: 'EPERM' });
  journal.release();
  t.end();
});

t.test('what is not a sealed journal is refused before it is mapped', (t) => {
  const path = join(tmpdir(), `node-reuseport-${String(process.pid)}`);
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL);
  unlinkSync(path);
  writeSync(file, Buffer.alloc(8192));
  fsyncSync(file);
  t.throws(() => Journal.open(file), { code: /EINVAL|EPERM/, message: /memfd|sealed/ }, 'a plain file');
  closeSync(file);
  const [left, right] = unixSocketPair();
  t.throws(() => Journal.open(left), { code: 'EINVAL', message: /memfd/ }, 'a socket');
  for (const fd of [left, right]) closeFd(fd);
  t.throws(() => Journal.open(0x7ffffff0), { code: 'EBADF' });
  t.throws(() => Journal.open(-1), { code: 'ERR_INVALID_ARG_VALUE' });
  t.end();
});

t.test('a damaged header is refused with what is wrong', (t) => {
  const damage: [string, number, number, RegExp][] = [
    ['magic', 0, 1, /magic/],
    ['version', 2, 99, /version/],
    ['slots', 8, 0, /range/],
    ['slots', 8, 99999, /offsets/],
    ['batch', 9, 2000, /range/],
    ['total', 6, 4096, /offsets/],
    ['an offset', 12, 12345, /offsets/],
  ];
  for (const [name, word, value, message] of damage) {
    const journal = Journal.create({ slots: 16, batch: 4 });
    Journal.open(journal.fd).release();
    new Uint32Array(journal.buffer)[word] = value;
    t.throws(() => Journal.open(journal.fd), { message, code: name === 'version' ? 'EPROTONOSUPPORT' : 'EINVAL' }, name);
    journal.release();
  }
  t.end();
});

t.test('counts out of range are refused with the range', (t) => {
  for (const o of [
    { slots: 0, batch: 1 },
    { slots: 1 << 21, batch: 1 },
    { slots: 1, batch: 0 },
    { slots: 1, batch: 1025 },
    { slots: 1, batch: 1, transmitCapacity: 0 },
    { slots: 1.5, batch: 1 },
    { slots: Number.NaN, batch: 1 },
  ]) {
    t.throws(() => Journal.create(o), { code: 'ERR_INVALID_ARG_VALUE', message: /from 1 to/ });
  }
  t.end();
});

t.test('after release the buffer is empty and every use throws', (t) => {
  const side = new Side(8, 2);
  t.throws(() => { side.journal.release(); }, { code: 'EBUSY' }, 'not under a reactor');
  const peer = Journal.create({ slots: 8, batch: 2 });
  peer.release();
  t.equal(peer.released, true);
  t.equal(peer.buffer.byteLength, 0);
  peer.release();
  t.throws(() => new Reactor(peer), { code: 'EBADF' });
  t.throws(() => scan(peer), { code: 'EBADF' });
  t.throws(() => side.reactor.take(peer, 0), { code: 'EBADF' });
  side.close();
  t.equal(side.bytes.length, 0);
  t.end();
});

t.test('a step beats', (t) => {
  const side = new Side(8, 2);
  const heartbeat = new BigUint64Array(side.journal.buffer, side.journal.layout.heartbeatOffset, 1);
  const before = bootTimeMs();
  side.reactor.step(0, 0);
  const beatMs = Number(heartbeat[0]) / 1e6;
  t.ok(beatMs >= before && beatMs <= bootTimeMs());
  side.close();
  t.end();
});

t.test('taking from oneself or from a slot that does not exist is an error', (t) => {
  const side = new Side(8, 2);
  const again = Journal.open(side.journal.fd);
  const other = Journal.create({ slots: 8, batch: 2 });
  t.throws(() => side.reactor.take(side.journal, 0), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => side.reactor.take(again, 0), { code: 'EINVAL' });
  t.throws(() => side.reactor.take(other, 8), { code: 'ERANGE' });
  t.equal(side.reactor.take(other, 7), Take.NOTHING);
  again.release();
  other.release();
  side.close();
  t.end();
});

t.test('the extra region is shared memory like the rest, and zero at first', (t) => {
  const journal = Journal.create({ slots: 4, batch: 2, extraBytes: 10_000 });
  const peer = Journal.open(journal.fd);
  t.equal(journal.layout.extraBytes, 10_000);
  t.equal(journal.layout.extraOffset % 4096, 0);
  t.ok(journal.layout.extraOffset + 10_000 <= journal.layout.totalBytes);
  const own = new Uint8Array(journal.buffer, journal.layout.extraOffset, 10_000);
  t.ok(own.every((byte) => byte === 0));
  own[9_999] = 7;
  t.equal(new Uint8Array(peer.buffer, peer.layout.extraOffset, peer.layout.extraBytes)[9_999], 7);
  peer.release();
  journal.release();
  t.throws(() => Journal.create({ slots: 4, batch: 2, extraBytes: extraBytesMax + 1 }), RangeError);
  t.end();
});

t.test('a journal of the previous layout is made and read for a peer that knows no other', (t) => {
  const journal = Journal.create({ slots: 4, batch: 2, version: oldestLayoutVersion });
  const peer = Journal.open(journal.fd);
  t.equal(peer.layout.version, 1);
  t.equal(peer.layout.extraBytes, 0);
  peer.release();
  journal.release();
  t.throws(() => Journal.create({ slots: 4, batch: 2, version: 1, extraBytes: 1 }), RangeError);
  t.throws(() => Journal.create({ slots: 4, batch: 2, version: layoutVersion + 1 }), RangeError);
  t.end();
});

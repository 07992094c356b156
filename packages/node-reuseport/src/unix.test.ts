import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  acceptConnection,
  closeFd,
  connectUnix,
  EAGAIN,
  fdsPerMessageMax,
  listenUnix,
  localAddress,
  peerCredentials,
  receiveWithFds,
  sendWithFds,
  unixSocketPair,
} from './index.js';
import { client, receiveIds, sendId, udp } from './testing/harness.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

t.test('a listening path has its mode, and both ends know each other', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'node-reuseport-'));
  const path = join(folder, 'peer.sock');
  for (const type of ['seqpacket', 'stream'] as const) {
    const listener = listenUnix(path, 0o600, type);
    t.equal(statSync(path).mode & 0o777, 0o600);
    t.throws(() => listenUnix(path, 0o600, type), { code: 'EADDRINUSE' });
    t.equal(acceptConnection(listener), -EAGAIN);
    const left = connectUnix(path, type);
    const right = acceptConnection(listener);
    for (const fd of [left, right]) {
      t.same(peerCredentials(fd), { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
    }
    for (const fd of [left, right, listener]) closeFd(fd);
    rmSync(path);
  }
  t.throws(() => connectUnix(path), { code: 'ENOENT', syscall: 'connect' });
  t.throws(() => listenUnix(`${path}${'x'.repeat(200)}`, 0o600), { code: 'ENAMETOOLONG' });
  t.throws(() => listenUnix('', 0o600), { code: 'EINVAL' });
  t.throws(() => connectUnix(path, 'datagram' as 'stream'), { code: 'ERR_INVALID_ARG_VALUE' });
  rmSync(folder, { recursive: true });
  t.end();
});

t.test('a socket that was passed is the same socket', (t) => {
  const [left, right] = unixSocketPair();
  const socket = udp();
  const asker = client(socket);
  t.equal(receiveWithFds(right, 100, 4), null, 'nothing there yet');
  t.equal(sendWithFds(left, bytes('socket'), [socket]), 6);
  const message = receiveWithFds(right, 100, 4)!;
  t.equal(new TextDecoder().decode(message.data), 'socket');
  t.equal(message.fds.length, 1);
  t.notOk(message.truncated || message.fdsLost || message.end);
  const [copy] = message.fds;
  t.not(copy, socket);
  t.same(localAddress(copy), localAddress(socket));
  sendId(asker, 5);
  closeFd(socket);
  t.same(receiveIds(copy), [5], 'what was queued is still there after the first holder closed');
  for (const fd of [left, right, copy, asker]) closeFd(fd);
  t.end();
});

t.test('messages sent before the other side went are read, then the end', (t) => {
  const [left, right] = unixSocketPair();
  sendWithFds(right, bytes('unread'), []);
  sendWithFds(left, bytes('one'), []);
  sendWithFds(left, bytes('two'), [left]);
  closeFd(left);
  const first = receiveWithFds(right, 100, 4)!;
  t.equal(new TextDecoder().decode(first.data), 'one');
  const second = receiveWithFds(right, 100, 4)!;
  t.equal(second.fds.length, 1);
  t.equal(receiveWithFds(right, 100, 4), null, 'the copy in the message holds the line open');
  closeFd(second.fds[0]);
  const last = receiveWithFds(right, 100, 4)!;
  t.equal(last.end, true);
  t.equal(last.data.length, 0);
  t.equal(sendWithFds(right, bytes('x'), []), -32);
  closeFd(right);
  t.end();
});

t.test('what does not fit is cut and said so, and no descriptor leaks', (t) => {
  const [left, right] = unixSocketPair();
  sendWithFds(left, bytes('a long message'), [left, left, left]);
  const message = receiveWithFds(right, 6, 1)!;
  t.equal(new TextDecoder().decode(message.data), 'a long');
  t.same([message.truncated, message.fdsLost, message.fds.length], [true, true, 1]);
  closeFd(message.fds[0]);
  closeFd(left);
  t.equal(receiveWithFds(right, 6, 1)?.end, true, 'no other copy of the sender is open');
  closeFd(right);
  t.end();
});

t.test('the most descriptors a message can carry arrive, one more is refused', (t) => {
  const [left, right] = unixSocketPair();
  const many = Array.from({ length: fdsPerMessageMax }, () => left);
  t.equal(sendWithFds(left, bytes('x'), many), 1);
  const { fds } = receiveWithFds(right, 10, fdsPerMessageMax)!;
  t.equal(fds.length, fdsPerMessageMax);
  for (const fd of fds) closeFd(fd);
  t.throws(() => sendWithFds(left, bytes('x'), [...many, left]), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => sendWithFds(left, new Uint8Array(0), []), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => sendWithFds(left, bytes('x'), [-1]), { code: 'ERR_INVALID_ARG_VALUE' });
  t.equal(sendWithFds(left, bytes('x'), [0x7ffffff0]), -9, 'EBADF');
  t.throws(() => receiveWithFds(right, 0, 1), { code: 'ERR_INVALID_ARG_VALUE' });
  t.throws(() => receiveWithFds(right, 1, 254), { code: 'ERR_INVALID_ARG_VALUE' });
  for (const fd of [left, right]) closeFd(fd);
  t.end();
});

t.test('a reader that does not read makes the sender see EAGAIN, not block', (t) => {
  const [left, right] = unixSocketPair();
  let result = 1;
  let sent = 0;
  while (result > 0 && sent < 100_000) {
    result = sendWithFds(left, bytes('x'), []);
    sent++;
  }
  t.equal(result, -EAGAIN);
  for (const fd of [left, right]) closeFd(fd);
  t.end();
});

import t from 'tap';
import {
  awaitWritable,
  bindSocket,
  closeFd,
  connectSocket,
  isListening,
  listenSocket,
  localAddress,
  openSocket,
  receiveInto,
  remoteAddress,
  sendFrom,
  shutdownFd,
  socketError,
  type SocketOptions,
  unixSocketPair,
} from './index.js';
import { systemError } from './errors.js';

t.test('sockets of one user share an address only when each has reusePort', (t) => {
  const shared = [0, 1].map(() => openSocket({ type: 'udp', family: 4, reusePort: true }));
  bindSocket(shared[0], '127.0.0.1', 0);
  const { port } = localAddress(shared[0]);
  bindSocket(shared[1], '127.0.0.1', port);
  t.same(localAddress(shared[1]), { address: '127.0.0.1', port, family: 4 });
  const alone = openSocket({ type: 'udp', family: 4 });
  t.throws(() => { bindSocket(alone, '127.0.0.1', port); }, { code: 'EADDRINUSE', syscall: 'bind', message: /reusePort/ });
  for (const fd of [...shared, alone]) closeFd(fd);
  t.end();
});

t.test('every option that needs no privilege is taken', (t) => {
  for (const type of ['udp', 'tcp'] as const) {
    for (const family of [4, 6] as const) {
      const o: SocketOptions = {
        type,
        family,
        reusePort: true,
        reuseAddress: true,
        packetInfo: true,
        originalDestination: true,
        receiveBufferBytes: 1 << 20,
        sendBufferBytes: 1 << 18,
        ...(family === 6 ? { v6Only: false } : {}),
      };
      const fd = openSocket(o);
      t.ok(fd >= 0);
      closeFd(fd);
    }
  }
  t.end();
});

t.test('an option that is refused is named, and no descriptor is left behind', (t) => {
  if (process.getuid?.() !== 0) {
    t.throws(() => openSocket({ type: 'udp', family: 4, transparent: true }), {
      code: 'EPERM',
      syscall: 'setsockopt',
      message: /transparent.*CAP_NET_ADMIN/,
    });
  }
  const before = openSocket({ type: 'udp', family: 4 });
  closeFd(before);
  t.throws(() => openSocket({ type: 'udp', family: 4, sendBufferBytes: 0 }), { code: 'ERR_INVALID_ARG_VALUE' });
  const after = openSocket({ type: 'udp', family: 4 });
  t.equal(after, before, 'the lowest free descriptor is the same');
  closeFd(after);
  t.end();
});

t.test('arguments are checked before the kernel sees them', (t) => {
  const fd = openSocket({ type: 'tcp', family: 4 });
  const bad: [string, () => unknown][] = [
    ['type', () => openSocket({ type: 'raw' as 'udp', family: 4 })],
    ['family', () => openSocket({ type: 'udp', family: 5 as 4 })],
    ['v6Only with family 4', () => openSocket({ type: 'udp', family: 4, v6Only: true })],
    ['flag', () => openSocket({ type: 'udp', family: 4, reusePort: 1 as unknown as boolean })],
    ['mark', () => openSocket({ type: 'udp', family: 4, mark: -1 })],
    ['buffer', () => openSocket({ type: 'udp', family: 4, receiveBufferBytes: 1.5 })],
    ['address', () => { bindSocket(fd, 'localhost', 0); }],
    ['port', () => { bindSocket(fd, '127.0.0.1', 65536); }],
    ['fd', () => { bindSocket(-1, '127.0.0.1', 0); }],
    ['fd as text', () => { closeFd('1' as unknown as number); }],
    ['backlog', () => { listenSocket(fd, 0); }],
    ['how', () => { shutdownFd(fd, 'all' as 'both'); }],
  ];
  for (const [name, call] of bad) t.throws(call, { code: 'ERR_INVALID_ARG_VALUE' }, name);
  closeFd(fd);
  t.end();
});

t.test('refusals carry code, syscall and a remedy', (t) => {
  const fd = openSocket({ type: 'udp', family: 4 });
  t.throws(() => { bindSocket(fd, '192.0.2.1', 0); }, {
    code: 'EADDRNOTAVAIL',
    message: 'bind EADDRNOTAVAIL: 192.0.2.1:0 (no interface of this host has the address: assign it, or choose another)',
  });
  t.throws(() => { bindSocket(fd, '::1', 0); }, { code: 'EAFNOSUPPORT' });
  t.throws(() => { listenSocket(fd, 1); }, { code: 'EOPNOTSUPP', syscall: 'listen' });
  closeFd(fd);
  t.throws(() => { closeFd(fd); }, { code: 'EBADF', syscall: 'close' });
  t.throws(() => localAddress(fd), { code: 'EBADF' });
  t.end();
});

t.test('a remedy fits the call: an address that is not to be had means something else on connect', (t) => {
  const errno = 99;
  t.match(systemError(errno, 'bind', 'x').message, /choose another/);
  t.match(systemError(errno, 'connect', 'x'), { code: 'EADDRNOTAVAIL', message: /local port/ });
  t.equal(systemError(11, 'connect', 'x').message, 'connect EAGAIN: x', 'and none is better than a wrong one');
  t.end();
});

t.test('names of both ends; null for a socket without a remote end', (t) => {
  const one = openSocket({ type: 'udp', family: 6 });
  bindSocket(one, '::1', 0);
  t.equal(remoteAddress(one), null);
  const two = openSocket({ type: 'udp', family: 6 });
  connectSocket(two, '::1', localAddress(one).port);
  t.same(remoteAddress(two), localAddress(one));
  t.equal(socketError(two), 0);
  for (const fd of [one, two]) closeFd(fd);
  t.end();
});

t.test('whether a socket listens', (t) => {
  const fd = openSocket({ type: 'tcp', family: 4 });
  t.notOk(isListening(fd));
  bindSocket(fd, '127.0.0.1', 0);
  t.notOk(isListening(fd));
  listenSocket(fd, 1);
  t.ok(isListening(fd));
  closeFd(fd);
  t.throws(() => isListening(fd), { code: 'EBADF' });
  t.end();
});

t.test('a descriptor that blocks is written to no more when its reader has stopped, and again when it reads', (t) => {
  const [one, other] = unixSocketPair('stream');
  const piece = Buffer.alloc(4096);
  let pieces = 0;
  while (awaitWritable(one, 0)) {
    t.equal(sendFrom(one, piece, 0, piece.length), piece.length);
    pieces++;
  }
  t.ok(pieces > 0);
  t.notOk(awaitWritable(one, 1));
  const into = Buffer.alloc(pieces * piece.length);
  for (let got = 0; got < into.length;) got += receiveInto(other, into, got, into.length - got, false);
  t.ok(awaitWritable(one, 0));
  closeFd(other);
  t.ok(awaitWritable(one, 0), 'a write fails, and does not wait');
  t.throws(() => awaitWritable(one, -1), { code: 'ERR_INVALID_ARG_VALUE' });
  closeFd(one);
  t.end();
});

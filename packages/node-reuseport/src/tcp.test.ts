import t from 'tap';
import {
  acceptConnection,
  bindSocket,
  closeFd,
  connectionInterface,
  connectTcp,
  discard,
  EAGAIN,
  listenSocket,
  localAddress,
  openSocket,
  Reactor,
  Journal,
  ReadyEvent,
  receiveInto,
  remoteAddress,
  sendFrom,
  shutdownFd,
  socketError,
  tcpProgress,
} from './index.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

interface Pair {
  listener: number;
  server: number;
  client: number;
  close: () => void;
}

function connected(family: 4 | 6): Pair {
  const listener = openSocket({ type: 'tcp', family, reusePort: true, packetInfo: true });
  const address = family === 4 ? '127.0.0.1' : '::1';
  bindSocket(listener, address, 0);
  listenSocket(listener, 16);
  const client = connectTcp({ address, port: localAddress(listener).port });
  const server = acceptConnection(listener);
  return {
    listener,
    server,
    client,
    close: () => {
      for (const fd of [listener, server, client]) closeFd(fd);
    },
  };
}

for (const family of [4, 6] as const) {
  t.test(`a request over IPv${String(family)} is peeked, answered, then consumed`, (t) => {
    const { listener, server, client, close } = connected(family);
    t.ok(server >= 0);
    t.equal(acceptConnection(listener), -EAGAIN);
    t.equal(socketError(client), 0);
    t.same(remoteAddress(server), localAddress(client));
    t.ok(connectionInterface(server) > 0, 'the loopback interface');
    const buffer = new Uint8Array(64);
    t.equal(receiveInto(server, buffer, 0, 64, true), -EAGAIN);
    sendFrom(client, bytes('first second'), 0, 12);
    for (let i = 0; i < 2; i++) {
      t.equal(receiveInto(server, buffer, 4, 5, true), 5);
      t.equal(text(buffer.subarray(4, 9)), 'first', 'peeking leaves it there');
    }
    t.equal(discard(server, 6), 6);
    t.equal(receiveInto(server, buffer, 0, 64, false), 6);
    t.equal(text(buffer.subarray(0, 6)), 'second');
    shutdownFd(client, 'write');
    t.equal(receiveInto(server, buffer, 0, 64, false), 0, 'the end');
    close();
    t.end();
  });
}

t.test('progress tells what has been written, whoever wrote it', (t) => {
  const { server, client, close } = connected(4);
  const big = new Uint8Array(1 << 20).fill(1);
  const written = sendFrom(server, big, 0, big.length);
  t.ok(written > 0 && written <= big.length);
  let { bytesAcked, unsent } = tcpProgress(server);
  t.equal(bytesAcked + unsent, written);
  const into = new Uint8Array(1 << 20);
  let read = 0;
  while (read < written) {
    const got = receiveInto(client, into, 0, into.length, false);
    if (got > 0) read += got;
  }
  ({ bytesAcked, unsent } = tcpProgress(server));
  t.equal(bytesAcked + unsent, written);
  t.throws(() => tcpProgress(0x7ffffff0), { code: 'EBADF' });
  close();
  t.end();
});

t.test('shutdown ends the connection although somebody else holds it', (t) => {
  const { server, client, close } = connected(4);
  shutdownFd(server, 'both');
  t.equal(receiveInto(client, new Uint8Array(1), 0, 1, false), 0);
  t.equal(sendFrom(server, bytes('x'), 0, 1), -32, 'EPIPE is a value and no signal');
  shutdownFd(client, 'both');
  shutdownFd(server, 'both');
  close();
  t.end();
});

t.test('bytes outside the array are refused', (t) => {
  const { server, client, close } = connected(4);
  const small = new Uint8Array(4);
  for (const [offset, length] of [[0, 5], [4, 1], [-1, 2], [2, -1], [0x7fffffff, 0x7fffffff]]) {
    t.equal(receiveInto(server, small, offset, length, false), -14);
    t.equal(sendFrom(client, small, offset, length), -14);
  }
  t.equal(receiveInto(server, [] as unknown as Uint8Array, 0, 0, false), -14);
  t.equal(discard(server, -1), -22);
  close();
  t.end();
});

t.test('a connection under way becomes writable, refused ones say so', (t) => {
  const journal = Journal.create({ slots: 1, batch: 1 });
  const reactor = new Reactor(journal);
  const unused = openSocket({ type: 'tcp', family: 4 });
  bindSocket(unused, '127.0.0.1', 0);
  const fd = connectTcp({ address: '127.0.0.1', port: localAddress(unused).port, localAddress: '127.0.0.2' });
  t.equal(localAddress(fd).address, '127.0.0.2');
  reactor.watch(fd, 9, ReadyEvent.OUT);
  t.equal(reactor.step(0, 1000), 1);
  t.equal(socketError(fd), 111, 'ECONNREFUSED');
  t.throws(() => connectTcp({ address: 'nowhere', port: 1 }), { code: 'ERR_INVALID_ARG_VALUE' });
  reactor.close();
  journal.release();
  for (const each of [unused, fd]) closeFd(each);
  t.end();
});

/** What a thief goes by when it takes a connection over must be true at one instant, whatever the client does meanwhile. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { acceptConnection, bindSocket, closeFd, discard, EAGAIN, listenSocket, localAddress, openSocket, sendFrom, tcpProgress } from './index.js';

const LOOKS = 20_000;

/** A client in a process of its own, so that bytes and acknowledgements come at any instant; `script` has `socket`. */
async function clientOf(t: Test, script: string): Promise<{ readonly server: number; readonly child: ChildProcess }> {
  const listener = openSocket({ type: 'tcp', family: 4 });
  bindSocket(listener, '127.0.0.1', 0);
  listenSocket(listener, 1);
  const { port } = localAddress(listener);
  const child = spawn(process.execPath, ['-e', `const socket = require('net').connect({ port: ${port}, host: '127.0.0.1', allowHalfOpen: true }); ${script}`], { stdio: 'inherit' });
  let server = -EAGAIN;
  while (server === -EAGAIN) {
    await new Promise(setImmediate);
    server = acceptConnection(listener);
  }
  t.teardown(async () => {
    for (const fd of [server, listener]) closeFd(fd);
    if (child.exitCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
  });
  return { server, child };
}

t.test('what was written stays the same while the client acknowledges it', async (t) => {
  const { server } = await clientOf(t, 'socket.resume()');
  const piece = new Uint8Array(1 << 16);
  let written = 0;
  let wrong = 0;
  for (let i = 0; i < LOOKS; i++) {
    const count = sendFrom(server, piece, 0, piece.length);
    if (count > 0) written += count;
    const { bytesAcked, unsent } = tcpProgress(server);
    if (bytesAcked + unsent !== written) wrong++;
  }
  t.equal(wrong, 0, `of ${LOOKS} looks at ${written} bytes`);
});

t.test('what was consumed stays the same while more comes', async (t) => {
  const { server } = await clientOf(t, "const piece = Buffer.alloc(1000); (function go() { while (socket.write(piece)); socket.once('drain', go); })(); socket.on('error', () => {})");
  while (tcpProgress(server).received === 0) await new Promise((resolve) => { setImmediate(resolve); });
  let consumed = 0;
  let wrong = 0;
  for (let i = 0; i < LOOKS; i++) {
    const { received, unread } = tcpProgress(server);
    if (received - unread !== consumed) wrong++;
    const count = discard(server, 3000);
    if (count > 0) consumed += count;
  }
  t.ok(consumed > 0);
  t.equal(wrong, 0, `of ${LOOKS} looks at ${consumed} bytes`);
});

t.test('the end of the client\'s half counts as no byte', async (t) => {
  const { server } = await clientOf(t, "socket.end('0123456789')");
  while (!tcpProgress(server).isHalfClosed) await new Promise(setImmediate);
  for (const step of [0, 4, 6]) {
    if (step > 0) t.equal(discard(server, step), step);
    const { received, unread } = tcpProgress(server);
    t.equal(received, 10);
    t.equal(received - unread, step === 0 ? 0 : step === 4 ? 4 : 10);
  }
  t.equal(discard(server, 1), 0, 'the end');
  const { received, unread } = tcpProgress(server);
  t.same([received, unread], [10, 0]);
});

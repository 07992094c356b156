import { bindSocket, closeFd, connectSocket, localAddress, openSocket, receiveInto, sendFrom } from 'node-reuseport';
import t from 'tap';
import { ReceiveBuffers } from './receive-buffers.js';

const SENT = 20_000;

t.test('a burst finds room; behind a queue that does not end there is little, until it has ended', (t) => {
  const udp = openSocket({ type: 'udp', family: 4 });
  const asker = openSocket({ type: 'udp', family: 4 });
  t.teardown(() => { for (const fd of [udp, asker]) closeFd(fd); });
  bindSocket(udp, '127.0.0.1', 0);
  const { address, port } = localAddress(udp);
  connectSocket(asker, address, port);
  const query = new Uint8Array(40);
  /** Of SENT datagrams at once, how many wait. */
  const room = (): number => {
    for (let i = 0; i < SENT; i++) sendFrom(asker, query, 0, query.length);
    let waiting = 0;
    while (receiveInto(udp, query, 0, query.length, false) >= 0) waiting++;
    return waiting;
  };
  let queuedMs = 0;
  const buffers = new ReceiveBuffers({ queuedMs: () => queuedMs }, [{ udp, tcp: -1, address: { address, port, family: 4 } }]);
  const at = (ms: number): number => {
    queuedMs = ms;
    buffers.tick();
    return room();
  };
  const much = room();
  t.ok(much > SENT / 2, String(much));
  t.ok(at(1499) > SENT / 2);
  const little = at(1500);
  t.ok(little > 500 && little < SENT / 4, String(little));
  t.ok(at(50) < SENT / 4, 'the queue has not ended yet');
  t.ok(at(0) > SENT / 2);
  t.end();
});

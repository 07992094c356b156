import t from 'tap';
import { bindSocket, closeFd, connectSocket, localAddress, Meta, openSocket, type SocketOptions } from './index.js';
import { receiveIds, sendId, Side } from './testing/harness.js';

const cases: readonly (readonly [string, Omit<SocketOptions, 'type'>, string, string, number])[] = [
  ['an IPv4 wildcard, by packet info', { family: 4, packetInfo: true }, '0.0.0.0', '127.0.0.5', 4],
  ['an IPv4 wildcard, by original destination', { family: 4, originalDestination: true }, '0.0.0.0', '127.0.0.6', 4],
  ['an IPv6 wildcard', { family: 6, packetInfo: true, originalDestination: true }, '::', '::1', 6],
  ['an IPv6 wildcard that takes IPv4, too', { family: 6, packetInfo: true, v6Only: false }, '::', '127.0.0.7', 4],
];

for (const [name, options, bound, asked, family] of cases) {
  t.test(`on ${name}, the answer comes from the address that was asked`, (t) => {
    const side = new Side(8, 4);
    const listener = openSocket({ type: 'udp', ...options });
    bindSocket(listener, bound, 0);
    const { port } = localAddress(listener);
    side.reactor.addListener(listener, 0, { replyFromServerAddress: true });
    const asker = openSocket({ type: 'udp', family: asked.includes(':') ? 6 : 4 });
    // Connected, so that it hears that address only.
    connectSocket(asker, asked, port);
    sendId(asker, 9);
    const [slot] = side.receive(1000);
    const meta = side.meta(slot);
    t.equal(side.words[meta + Meta.CLIENT_FAMILY], family);
    t.equal(side.words[meta + Meta.SERVER_PORT], port);
    const server = side.bytes.slice((meta + Meta.SERVER_ADDRESS) * 4, (meta + Meta.SERVER_ADDRESS + 4) * 4);
    if (family === 4) {
      const four = asked.split('.').map(Number);
      t.same([...server], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, ...four]);
    }
    side.reply(0, slot);
    side.reactor.flush(1);
    t.same(receiveIds(asker), [9]);
    side.close();
    for (const fd of [listener, asker]) closeFd(fd);
    t.end();
  });
}

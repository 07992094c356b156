import t from 'tap';
import { canonicalAddress, formatSocketAddress, parseSocketAddress } from './socket-address.js';

t.test('addresses have one canonical text', (t) => {
  const table: readonly [string, string | null][] = [
    ['127.0.0.1', '127.0.0.1'], ['0.0.0.0', '0.0.0.0'], ['255.255.255.255', '255.255.255.255'],
    ['::', '::'], ['::1', '::1'], ['0:0:0:0:0:0:0:1', '::1'], ['FD53::1', 'fd53::1'], ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], ['1:0:0:2:0:0:0:3', '1:0:0:2::3'], ['1::', '1::'], ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'], ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'], ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
    ['', null], ['1.2.3', null], ['1.2.3.4.5', null], ['256.1.1.1', null], ['01.2.3.4', null], ['1.2.3.4 ', null], ['a.b.c.d', null],
    [':', null], [':::', null], ['1::2::3', null], ['1:2:3:4:5:6:7', null], ['1:2:3:4:5:6:7:8:9', null], ['1:2:3:4:5:6:7:8::', null],
    ['::12345', null], ['fe80::1%eth0', null], ['1.2.3.4::', null], ['::1.2.3.4:5', null], ['localhost', null],
  ];
  for (const [text, canonical] of table) t.equal(canonicalAddress(text), canonical, JSON.stringify(text));
  t.end();
});

t.test('an address with a port is read and written', (t) => {
  t.strictSame(parseSocketAddress('127.0.0.1:53'), { address: '127.0.0.1', port: 53, family: 4 });
  t.strictSame(parseSocketAddress('[fd53:0::1]:53'), { address: 'fd53::1', port: 53, family: 6 });
  t.strictSame(parseSocketAddress('[::ffff:127.0.0.1]:0'), { address: '127.0.0.1', port: 0, family: 4 });
  for (const text of ['127.0.0.1', '::1:53', '[127.0.0.1]:53', '[::1]', '[::1]:', '[::1]:65536', '127.0.0.1:-1', ':53', 'a:53', '127.0.0.1:053000']) {
    t.equal(parseSocketAddress(text), null, text);
  }
  for (const text of ['127.0.0.1:53', '[::1]:53']) t.equal(formatSocketAddress(parseSocketAddress(text)!), text);
  t.end();
});

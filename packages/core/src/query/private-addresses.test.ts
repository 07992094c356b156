import t from 'tap';
import { AnswerView, scanAnswer, TYPE } from '@tandem/dns';
import { parseAddress } from '../base/socket-address.js';
import { givesPrivateAddress, isPrivateV4, isPrivateV6 } from './private-addresses.js';
import { answerPacket, rawName, type Record } from './testing/packets.js';

const NAME = 'echo.k8s.intra.';

t.test('each range ends where its RFC says, on its own, IPv4-mapped and behind a NAT64', (t) => {
  const inside = [
    '0.0.0.0', '0.255.255.255', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255', '127.0.0.1', '127.255.255.255',
    '169.254.0.0', '169.254.255.255', '172.16.0.0', '172.31.255.255', '192.168.0.0', '192.168.255.255',
  ];
  const outside = [
    '1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0', '169.253.255.255',
    '169.255.0.0', '172.15.255.255', '172.32.0.0', '192.167.255.255', '192.169.0.0', '224.0.0.1', '255.255.255.255',
  ];
  for (const [texts, isPrivate] of [[inside, true], [outside, false]] as const) {
    for (const text of texts) {
      const bytes = Uint8Array.from(text.split('.').map(Number));
      t.equal(isPrivateV4(bytes, 0), isPrivate, text);
      t.equal(isPrivateV6(Uint8Array.from([...new Array<number>(10).fill(0), 0xff, 0xff, ...bytes]), 0), isPrivate, `::ffff:${text}`);
      t.equal(isPrivateV6(Uint8Array.from([0, 0x64, 0xff, 0x9b, ...new Array<number>(8).fill(0), ...bytes]), 0), isPrivate, `64:ff9b::${text}`);
    }
  }
  const inside6 = ['::', '::1', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fe80::1', 'febf:ffff::', 'fec0::', 'feff:ffff::'];
  const outside6 = ['::2', '::100', '::1:0:0', '100::1', '2001:db8::1', 'fbff::', 'fe00::1', 'fe7f:ffff::', 'ff02::1', '64:ff9b:1::a00:1', '64:ff9c::a00:1', '64::', '0:0:0:0:1::1'];
  for (const text of inside6) t.equal(isPrivateV6(parseAddress(text)!, 0), true, text);
  for (const text of outside6) t.equal(isPrivateV6(parseAddress(text)!, 0), false, text);
  t.end();
});

t.test('any address of the answer section counts, and any hint', (t) => {
  const view = new AnswerView();
  const privateV6 = [0xfd, ...new Array<number>(15).fill(0)];
  const publicV6 = [0x20, 1, ...new Array<number>(14).fill(0)];
  const a = (...data: number[]): Record => [NAME, TYPE.A, 30, data];
  const binding = (type: number, ...data: number[]): Record => [NAME, type, 30, [0, 1, 0, ...data]];
  const cases: { says: string; records: readonly Record[]; isPrivate: boolean }[] = [
    { says: 'nothing', records: [], isPrivate: false },
    { says: 'public', records: [a(198, 51, 100, 1), [NAME, TYPE.AAAA, 30, publicV6]], isPrivate: false },
    { says: 'the last of several', records: [a(198, 51, 100, 1), a(198, 51, 100, 2), a(10, 0, 0, 1)], isPrivate: true },
    { says: 'IPv6', records: [[NAME, TYPE.AAAA, 30, privateV6]], isPrivate: true },
    { says: 'off the chain', records: [['other.test.', TYPE.A, 30, [10, 0, 0, 1]]], isPrivate: true },
    { says: 'by an alias', records: [[NAME, TYPE.CNAME, 30, rawName('b.test.')], ['b.test.', TYPE.A, 30, [10, 0, 0, 1]]], isPrivate: true },
    { says: 'no address at that length', records: [a(10, 0, 0, 1, 9)], isPrivate: false },
    { says: 'another type', records: [[NAME, TYPE.TXT, 30, [10, 0, 0, 1]]], isPrivate: false },
    { says: 'IPv4 hint', records: [binding(TYPE.HTTPS, 0, 4, 0, 8, 198, 51, 100, 1, 10, 0, 0, 1)], isPrivate: true },
    { says: 'IPv6 hint', records: [binding(TYPE.SVCB, 0, 6, 0, 16, ...privateV6)], isPrivate: true },
    { says: 'public hints', records: [binding(TYPE.HTTPS, 0, 4, 0, 4, 198, 51, 100, 1, 0, 6, 0, 16, ...publicV6)], isPrivate: false },
    { says: 'a binding that breaks off', records: [binding(TYPE.HTTPS, 0, 4, 0, 8, 198, 51, 100, 1)], isPrivate: true },
    { says: 'more hints than are read', records: [binding(TYPE.HTTPS, 0, 4, 1, 4, ...new Array<number>(260).fill(9))], isPrivate: true },
  ];
  for (const { says, records, isPrivate } of cases) {
    const packet = Uint8Array.from([7, 7, 7, ...answerPacket(NAME, records)]);
    scanAnswer(packet, 3, packet.length - 3, view);
    t.equal(givesPrivateAddress(packet, 3, view), isPrivate, says);
  }
  t.end();
});

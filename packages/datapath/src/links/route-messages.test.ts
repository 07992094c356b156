import fc from 'fast-check';
import t from 'tap';
import { joined } from './netlink-bytes.js';
import { forgetRequest, forwardingRequest, routeEvents, solicitRequest, type RouteEvent } from './route-messages.js';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** As Linux 6.18 sent them (little-endian), of a bridge 10 and a veth 11. */
const MESSAGES: readonly (readonly [what: string, hex: string, event: RouteEvent | null])[] = [
  [
    'an address of the node',
    '4c0000001400020000000000f64b0000021880000a000000080001000a020001080002000a0200010800030062723000080008008000000014000600fffffffffffffffff68b5c00f68b5c00',
    { kind: 'address', isGone: false, at: { interface: 10, address: '10.2.0.1', prefixBits: 24 } },
  ],
  [
    'a route to one address',
    '3c0000001800220000000000f64b000002200000fe03fd010000000008000f00fe000000080001000a0100010800060007000000080004000b000000',
    { kind: 'route', isGone: false, replaces: false, route: { address: '10.1.0.1', table: 254, priority: 7, interfaces: [11] } },
  ],
  [
    'one by a gateway',
    '3c0000001800220000000000f64b000002200000fe0300010000000008000f00fe000000080001000a010008080005000a020009080004000a000000',
    null,
  ],
  [
    'one with two next hops',
    '400000001800220000000000f64b000002200000fe0300010000000008000f00fe000000080001000a01000914000900080000000b000000080000000a000000',
    { kind: 'route', isGone: false, replaces: false, route: { address: '10.1.0.9', table: 254, priority: 0, interfaces: [11, 10] } },
  ],
  [
    'one to a network',
    '3c0000001800220000000000f64b000002180000fe02fd010000000008000f00fe000000080001000a020000080007000a020001080004000a000000',
    null,
  ],
  [
    'one of IPv6',
    '740000001800220000000000f64b00000a800000fe0300010000000008000f00fe00000014000100fd0100000000000000000000000000010800060000040000080004000b00000024000c0000000000000000000000000000000000000000000000000000000000000000000500140000000000',
    { kind: 'route', isGone: false, replaces: false, route: { address: 'fd01::1', table: 254, priority: 1024, interfaces: [11] } },
  ],
  [
    'a neighbour',
    '4c0000001c00020000000000f64b0000020000000a00000002000001080001000a0200020a000200020000000002000008000400000000001400030021000000210000002100000001000000',
    { kind: 'neighbour', isGone: false, neighbour: { interface: 10, address: '10.2.0.2', mac: '02:00:00:00:00:02', isStatic: false } },
  ],
  [
    'the port of a MAC',
    '4c0000001c00000000000000f64b0000070000000d000000400000000a0002000200000000020000080009000a00000008000f00000000001400030000000000220000002200000000000000',
    { kind: 'forwarding', isGone: false, forwarding: { port: 13, bridge: 10, mac: '02:00:00:00:00:02' } },
  ],
];

t.test('messages of the kernel are read', (t) => {
  for (const [what, hex, event] of MESSAGES) t.strictSame(routeEvents(bytesOf(hex)), event === null ? [] : [event], what);
  const all = joined(MESSAGES.map(([, hex]) => bytesOf(hex)));
  t.equal(routeEvents(all).length, MESSAGES.filter(([, , event]) => event !== null).length, 'one behind the other');
  t.end();
});

t.test('a neighbour that does not answer has no MAC', (t) => {
  const failed = bytesOf(MESSAGES[6][1]);
  failed[24] = 0x20;
  t.match(routeEvents(failed), [{ kind: 'neighbour', neighbour: { mac: null } }]);
  t.end();
});

t.test('what a bridge says of its ports in its own family is not taken for the link', (t) => {
  const message = new Uint8Array(32);
  message.set([32, 0, 0, 0, 17, 0]);
  message[16] = 7;
  t.strictSame(routeEvents(message), []);
  t.end();
});

t.test('requests have the shape that the kernel reads', (t) => {
  t.equal(
    hexOf(forwardingRequest({ bridge: 10, mac: '02:00:00:00:00:02', vlan: 1 })),
    '38000000' + '1e00' + '0500' + '00000000' + '00000000' + '070000000000000000000000' + '0a000200020000000002' + '0000' + '080009000a000000' + '060005000100' + '0000',
  );
  const at = { interface: 10, address: '10.2.0.2' };
  const destination = Uint8Array.of(10, 2, 0, 2);
  t.equal(hexOf(solicitRequest(at, destination)), '24000000' + '1c00' + '0504' + '00000000' + '00000000' + '020000000a00000000000100' + '080001000a020002');
  t.equal(hexOf(forgetRequest(at, destination)), '24000000' + '1d00' + '0500' + '00000000' + '00000000' + '020000000a00000000000000' + '080001000a020002');
  t.end();
});

t.test('no bytes make reading fail, or last', (t) => {
  const spoiled = fc.tuple(fc.constantFrom(...MESSAGES.map(([, hex]) => bytesOf(hex))), fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }), fc.nat(120))
    .map(([bytes, changes, length]) => {
      const copy = Uint8Array.from(bytes);
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      return copy.subarray(0, Math.max(0, copy.length - (length % 40)));
    });
  fc.assert(fc.property(fc.oneof(spoiled, fc.uint8Array({ maxLength: 200 })), (bytes) => {
    for (const event of routeEvents(bytes)) if (typeof event.kind !== 'string') throw new Error('no event');
  }), { numRuns: 5000 });
  t.pass();
  t.end();
});

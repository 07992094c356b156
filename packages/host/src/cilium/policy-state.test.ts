import { AppError, PolicyIndex, PROTOCOL, type Snapshot, trace } from '@tandem/core';
import { fqdnPb } from '@tandem/proto';
import fc from 'fast-check';
import t from 'tap';
import { snapshotOfState } from './policy-state.js';
import { dnsPolicy, endpointsOf, message, policyState, prefixesOf, raw4, type WireState } from './testing/hand-encoder.js';

const ABOUT = { nodeName: 'n', revision: 7 };
const POD = endpointsOf(1001, { id: 12, ips: [raw4('10.0.0.1')] });
const DNS = prefixesOf(4321, Buffer.from([10, 0, 0, 53, 32]));
const BASE: WireState = { policies: [dnsPolicy(12, ['a.test.', '*.b.test.'], [{ identity: 4321 }])], endpoints: [POD], prefixes: [DNS] };

function compile(state: WireState): Snapshot {
  return snapshotOfState(fqdnPb.PolicyState.decode(policyState(state)), ABOUT);
}

interface Ask {
  readonly name?: string;
  readonly from?: string;
  readonly server?: string;
  readonly port?: number;
  readonly protocol?: 6 | 17;
}

function verdict(state: WireState, { name = 'a.test', from = '10.0.0.1', server = '10.0.0.53', port = 53, protocol = PROTOCOL.udp }: Ask = {}): string {
  return trace(PolicyIndex.build(compile(state), null), { name, from, server, port, protocol, type: 1 }).reason;
}

/** What is asked, of the policy state, and why it gets the verdict that it does. */
const VERDICTS: readonly (readonly [string, WireState, Ask, string])[] = [
  ['a name', BASE, {}, 'rule'],
  ['a name by a pattern', BASE, { name: 'x.b.test' }, 'rule'],
  ['another name', BASE, { name: 'c.test' }, 'no-rule'],
  ['a name below', BASE, { name: 'x.a.test' }, 'no-rule'],
  ['another server', BASE, { server: '10.0.0.54' }, 'no-rule'],
  ['another port', BASE, { port: 5353 }, 'no-rule'],
  ['another protocol', BASE, { protocol: PROTOCOL.tcp }, 'no-rule'],
  ['nobody that the state lists', BASE, { from: '10.0.0.2' }, 'unknown-endpoint'],
  ['an empty state', {}, {}, 'unknown-endpoint'],
  ['an endpoint without a row', { endpoints: [POD], prefixes: [DNS] }, {}, 'no-rule'],
  ['a row of an endpoint that is not listed', { ...BASE, endpoints: [] }, {}, 'unknown-endpoint'],
  ["another endpoint's row", { ...BASE, policies: [dnsPolicy(13, ['*'], [{ identity: 4321 }])] }, {}, 'no-rule'],
  ['a server whose identity is nowhere', { ...BASE, prefixes: [] }, {}, 'no-rule'],
  ['a rule that selects nobody', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 0 }])] }, {}, 'no-rule'],
  ['a rule that selects nobody, and a server in no prefix', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 0 }])] }, { server: '8.8.8.8' }, 'no-rule'],
  ['a prefix of identity 0', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 0 }, { identity: 2 }])], prefixes: [prefixesOf(0, Buffer.from([10, 0, 0, 53, 32]))] }, {}, 'no-rule'],
  ['a row without servers', { ...BASE, policies: [dnsPolicy(12, ['*'], [])] }, {}, 'no-rule'],
  ['a row without names', { ...BASE, policies: [dnsPolicy(12, [], [{ identity: 4321 }])] }, {}, 'no-rule'],
  ['an empty name', { ...BASE, policies: [dnsPolicy(12, [''], [{ identity: 4321 }])] }, {}, 'no-rule'],
  ['an empty name, and the root', { ...BASE, policies: [dnsPolicy(12, [''], [{ identity: 4321 }])] }, { name: '.' }, 'no-rule'],
  ['a name beside an empty one', { ...BASE, policies: [dnsPolicy(12, ['', 'a.test'], [{ identity: 4321 }])] }, {}, 'rule'],
  ['another name beside an empty one', { ...BASE, policies: [dnsPolicy(12, ['', 'a.test'], [{ identity: 4321 }])] }, { name: 'c.test' }, 'no-rule'],
  ['an endpoint of identity 0', { ...BASE, endpoints: [endpointsOf(0, { id: 12, ips: [raw4('10.0.0.1')] })] }, {}, 'no-rule'],
  ['an endpoint of identity 0, and of another', { ...BASE, endpoints: [endpointsOf(0, { id: 12, ips: [raw4('10.0.0.1')] }), POD] }, {}, 'no-rule'],
  ['an endpoint beside one of identity 0', { ...BASE, endpoints: [endpointsOf(0, { id: 13, ips: [raw4('10.0.0.2')] }), POD] }, {}, 'rule'],
  ['an endpoint of identity 0 as the server', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 0 }, { identity: 2 }])], endpoints: [POD, endpointsOf(0, { id: 13, ips: [raw4('10.0.0.99')] })] }, { server: '10.0.0.99' }, 'no-rule'],
  ['match-all', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 4321 }])] }, { name: 'any.thing' }, 'rule'],
  ['a protocol that carries no DNS', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 4321, protocol: 0 }])] }, {}, 'no-rule'],
  ['two rows', { ...BASE, policies: [dnsPolicy(12, ['c.test'], [{ identity: 4321 }]), dnsPolicy(12, ['A.TEST'], [{ identity: 4321 }])] }, {}, 'rule'],
  ['the names of the other server', { ...BASE, policies: [dnsPolicy(12, ['c.test'], [{ identity: 4321 }]), dnsPolicy(12, ['a.test'], [{ identity: 5 }])] }, {}, 'no-rule'],
  ['one server of several', { ...BASE, policies: [dnsPolicy(12, ['a.test'], [{ identity: 5 }, { identity: 4321, protocol: 6 }, { identity: 4321 }])] }, {}, 'rule'],
  ['a name beside the longest', { ...BASE, policies: [dnsPolicy(12, ['x'.repeat(255), 'a.test'], [{ identity: 4321 }])] }, {}, 'rule'],
  ['the world', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 2 }])] }, { server: '8.8.8.8' }, 'rule'],
  ['the world, of a server that is not', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 2 }])] }, {}, 'no-rule'],
  ["the world's IPv4", { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 9 }])] }, { server: '8.8.8.8' }, 'rule'],
  ["the world's IPv6", { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 9 }])] }, { server: '2001:db8::53' }, 'no-rule'],
  ['the longest prefix', {
    ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 0x100_0001 }])], prefixes: [prefixesOf(0x100_0001, Buffer.from([10, 0, 0, 0, 8])), prefixesOf(0x100_0002, Buffer.from([10, 0, 0, 0, 24]))],
  }, {}, 'no-rule'],
  ['one of the prefixes of an identity', {
    ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 70_000 }])], prefixes: [prefixesOf(70_000, Buffer.from([10, 0, 0, 0, 24]), Buffer.from([192, 0, 2, 0, 24]))],
  }, { server: '192.0.2.53' }, 'rule'],
  ['a prefix of two identities', {
    ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 300 }, { identity: 301 }])], prefixes: [prefixesOf(300, Buffer.from([10, 0, 0, 0, 24])), prefixesOf(301, Buffer.from([10, 0, 0, 0, 24]))],
  }, {}, 'no-rule'],
  ['an address of two identities, one selected', { ...BASE, prefixes: [DNS, prefixesOf(300, Buffer.from([10, 0, 0, 53, 32]))] }, {}, 'no-rule'],
  ['an address of two identities, both selected', {
    ...BASE, policies: [dnsPolicy(12, ['a.test'], [{ identity: 4321 }, { identity: 300 }])], prefixes: [DNS, prefixesOf(300, Buffer.from([10, 0, 0, 53, 32]))],
  }, {}, 'rule'],
  ['a pod of this node as the server', { ...BASE, endpoints: [POD, endpointsOf(4321, { id: 13, ips: [raw4('10.0.0.99')] })] }, { server: '10.0.0.99' }, 'rule'],
  ['an address that two endpoints have', { ...BASE, endpoints: [POD, endpointsOf(1002, { id: 13, ips: [raw4('10.0.0.1')] })] }, {}, 'unknown-endpoint'],
  ['an endpoint under two identities', { ...BASE, endpoints: [POD, endpointsOf(1002, { id: 12, ips: [raw4('10.0.0.1')] })] }, {}, 'rule'],
  ['the address of an endpoint in text', { ...BASE, endpoints: [endpointsOf(1001, { id: 12, ips: [Buffer.from('10.0.0.1')] })] }, {}, 'rule'],
  ['IPv6', { ...BASE, endpoints: [endpointsOf(1001, { id: 12, ips: [Buffer.from('20010db8000000000000000000000001', 'hex')] })] }, { from: '2001:db8::1' }, 'rule'],
  ["a pod of one of Cilium's fixed identities", { ...BASE, endpoints: [endpointsOf(104, { id: 12, ips: [raw4('10.0.0.1')] })] }, {}, 'rule'],
];

for (const [what, state, ask, reason] of VERDICTS) {
  t.test(`verdict: ${what}: ${reason}`, (t) => {
    t.equal(verdict(state, ask), reason);
    t.end();
  });
}

/** What cannot be read, and the complaint. */
const REFUSED: readonly (readonly [string, WireState, string])[] = [
  ['an address of three bytes', { endpoints: [endpointsOf(1001, { id: 1, ips: [Buffer.from([1, 2, 3])] })] }, 'identity_to_endpoint_mapping[0].endpoint_info[0].ip has 3 bytes (010203)'],
  ['a prefix that is none', { prefixes: [prefixesOf(9, Buffer.from([1, 2, 3, 4, 99]))] }, 'identity_to_prefix_mapping[0].prefix has 5 bytes'],
  ['an endpoint number beyond 16 bits', { endpoints: [endpointsOf(1001, { id: 65_536, ips: [] })] }, 'has the number 65536'],
  ['an endpoint number of 64 bits', { endpoints: [endpointsOf(1001, { id: 2n ** 64n - 1n, ips: [] })] }, 'has the number 18446744073709551615'],
  ['an endpoint without a number', { endpoints: [message([1, 1001], [2, Buffer.alloc(0)])] }, 'has the number 0'],
  ['a pattern with odd bytes', { ...BASE, policies: [dnsPolicy(12, ['a b'], [])] }, 'egress_l7_dns_policy[0].dns_pattern "a b" holds " "'],
  ['a pattern of spaces', { ...BASE, policies: [dnsPolicy(12, ['*', ' '], [])] }, 'dns_pattern " " is empty'],
  ['a pattern that is too long', { ...BASE, policies: [dnsPolicy(12, ['x'.repeat(256)], [])] }, 'has 256 characters; the limit is 255'],
  ['a bad row of an endpoint that is not listed', { ...BASE, policies: [dnsPolicy(99, ['..'], [])] }, 'dns_pattern ".." begins with a dot'],
  ['a port beyond 16 bits', { ...BASE, policies: [dnsPolicy(12, ['*'], [{ identity: 4321, port: 65_536 }])] }, 'dns_servers has the port 65536'],
  ['too many endpoints', { endpoints: [endpointsOf(1001, ...Array.from({ length: 4097 }, (_, i) => ({ id: i + 1, ips: [] })))] }, 'endpoints has 4097 entries; the limit is 4096'],
  ['too many addresses', { endpoints: [endpointsOf(1001, { id: 1, ips: Array.from({ length: 17 }, (_, i) => raw4(`10.0.0.${i}`)) })] }, 'has 17 addresses; the limit is 16'],
];

for (const [what, state, complaint] of REFUSED) {
  t.test(`refused: ${what}`, (t) => {
    t.throws(() => compile(state), new AppError('SNAPSHOT_REFUSED', ''));
    try {
      compile(state);
    } catch (error) {
      t.ok(String(error).includes(complaint), String(error));
    }
    t.end();
  });
}

t.test('the same content in another order, or said twice, is the same snapshot', (t) => {
  const rows = [dnsPolicy(12, ['a.test', 'b.test'], [{ identity: 4321 }, { identity: 9 }]), dnsPolicy(13, ['*'], [{ identity: 4321, protocol: 6 }])];
  const other = endpointsOf(1002, { id: 13, ips: [raw4('10.0.0.2')] });
  const prefixes = [DNS, prefixesOf(2, Buffer.from([0, 0, 0, 0, 0]))];
  const { hash } = compile({ policies: rows, endpoints: [POD, other], prefixes });
  const again = [dnsPolicy(13, ['*'], [{ identity: 4321, protocol: 6 }]), dnsPolicy(12, ['B.test.', 'a.test'], [{ identity: 9 }, { identity: 4321 }])];
  t.equal(compile({ policies: again, endpoints: [other, POD], prefixes: [...prefixes].reverse() }).hash, hash);
  t.equal(compile({ policies: [...again, ...rows], endpoints: [other, POD, other], prefixes: [...prefixes, DNS] }).hash, hash);
  t.not(compile({ policies: rows, endpoints: [POD], prefixes }).hash, hash);
  t.end();
});

t.test('endpoints keep their numbers; who gets the number or the address of another is another', (t) => {
  const uidOf = (id: number, address: string): string | undefined => compile({ endpoints: [endpointsOf(1001, { id, ips: [raw4(address)] })] }).endpoints[0]?.uid;
  t.match(compile(BASE).endpoints, [{ id: 12, identity: 1001, addresses: ['10.0.0.1'], pod: 'endpoint-12' }]);
  t.equal(uidOf(12, '10.0.0.1'), compile(BASE).endpoints[0].uid, 'whatever its policy');
  t.not(uidOf(12, '10.0.0.2'), uidOf(12, '10.0.0.1'));
  t.not(uidOf(13, '10.0.0.1'), uidOf(12, '10.0.0.1'));
  t.end();
});

t.test('whatever bytes are decoded, a state is a snapshot, or is refused with a reason', (t) => {
  const good = policyState(BASE);
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }), fc.nat(good.length), (changes, cut) => {
    const bytes = Buffer.from(good.subarray(0, good.length - (cut % 7 === 0 ? cut : 0)));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    let state: fqdnPb.PolicyState;
    try {
      state = fqdnPb.PolicyState.decode(bytes);
    } catch {
      return true;
    }
    try {
      return snapshotOfState(state, ABOUT).revision === ABOUT.revision;
    } catch (error) {
      return error instanceof AppError && error.code === 'SNAPSHOT_REFUSED';
    }
  }), { numRuns: 500 });
  t.end();
});

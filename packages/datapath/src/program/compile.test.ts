import type { EndpointLocation, PolicyRule, Snapshot } from '@tandem/core';
import t from 'tap';
import { marksFrom } from '../names.js';
import { compileProgram } from './compile.js';
import type { ProgramInput } from './input.js';
import { portMatches, dnsMatches } from './ports.js';
import type { TableSpec } from './program.js';
import { changeText, wholeText } from './text.js';

const NONE = new Map();
const origin = { kind: 'CiliumNetworkPolicy', namespace: 'a', name: 'b', path: 'spec.egress[0]' } as const;
const rule = (rest: Partial<PolicyRule>): PolicyRule => ({ identities: null, fqdns: [], ports: [], dnsPatterns: null, origin, ...rest });

function snapshotOf(rules: readonly PolicyRule[], rest: Partial<Snapshot> = {}, at: readonly EndpointLocation[] = [{ address: '10.0.0.1', interface: 7 }]): Snapshot {
  return {
    revision: 1, hash: '', nodeName: 'n', services: [], fqdnSelectors: [], policies: [],
    endpoints: [{ id: 1, uid: 'u', namespace: 'a', pod: 'p', identity: 256, addresses: ['10.0.0.1'], at, ruleSet: 0 }],
    identities: [{ identity: 256, labels: [], addresses: ['10.0.0.1'] }, { identity: 257, labels: [], addresses: ['10.0.1.1', 'fd00::1'] }],
    ruleSets: [{ key: 'ab'.repeat(32), rules }],
    ...rest,
  };
}

function inputOf(snapshot: Snapshot, rest: Partial<ProgramInput> = {}): ProgramInput {
  return {
    snapshot, divert: null, nameOf: () => 'port', marks: marksFrom(0x0100_0000), redirectTo: { v4: { address: '127.0.0.153', port: 53 }, v6: null },
    grantScope: 'node', auditMode: false, logGroup: null, podCidrs: [], isTransparentUpstream: false, ...rest,
  };
}

const tableOf = (input: ProgramInput, family = 'inet'): TableSpec => compileProgram(input).tables.find((one) => one.family === family)!;
/** Rules of the chain that the pod's egress goes to. */
function egressOf(table: TableSpec): readonly string[] {
  return table.chains.get(table.maps.get('from4')!.elements.get('7 . 10.0.0.1')!.slice('goto '.length))!.rules;
}

t.test('what denies stands before what allows, and the rest is refused', (t) => {
  const rules = [rule({ identities: [257] }), rule({ identities: [257], ports: [{ first: 80, last: 80, protocol: 6 }], deny: true })];
  const [established, ...lines] = egressOf(tableOf(inputOf(snapshotOf(rules))));
  t.equal(established, 'ct state established,related accept');
  t.match(lines[0], /^ip daddr @denied4-\w+ jump ports-/);
  t.match(lines[2], /^ip daddr @peers4-\w+ goto allow-/);
  t.match(lines.at(-1), /^goto deny-/);
  const open = snapshotOf(rules);
  t.match(egressOf(tableOf(inputOf({ ...open, ruleSets: [{ ...open.ruleSets[0], openByDefault: true }] }))).at(-1), /^goto allow-/);
  t.end();
});

t.test('pods and nodes win over prefixes, and a Service\'s own address is let through by none', (t) => {
  const snapshot = snapshotOf([rule({ identities: [2, 0x1000001] })], { cidrs: [{ identity: 0x1000001, cidr: '10.0.0.0/8' }], services: [{ namespace: 'a', name: 's', addresses: ['10.9.0.1'], ports: [] }] });
  const table = tableOf(inputOf(snapshot));
  t.match(egressOf(table)[1], /^ip daddr != @managed4 ip daddr != @virtual4 fib daddr type != local goto allow-/, 'everything but');
  t.strictSame([...table.sets.get('managed4')!.elements], ['10.0.0.1', '10.0.1.1']);
  t.strictSame([...table.sets.get('virtual4')!.elements], ['10.9.0.1']);
  t.end();
});

t.test('an address that several claim is allowed where all are selected, denied where one is', (t) => {
  const contested = [{ address: '10.0.1.9', identities: [257, 258] }];
  const elements = (rules: readonly PolicyRule[], prefix: string): readonly string[] => {
    const { sets } = tableOf(inputOf(snapshotOf(rules, { contested })));
    return [...[...sets].find(([name]) => name.startsWith(prefix))![1].elements];
  };
  t.strictSame(elements([rule({ identities: [257] })], 'peers4-'), ['10.0.1.1']);
  t.strictSame(elements([rule({ identities: [257, 258] })], 'peers4-'), ['10.0.1.1', '10.0.1.9']);
  t.strictSame(elements([rule({ identities: [257], deny: true })], 'denied4-'), ['10.0.1.1', '10.0.1.9']);
  t.end();
});

t.test('a pod without a place is nobody: its address is a stranger\'s everywhere', (t) => {
  const table = tableOf(inputOf(snapshotOf([], {}, [])));
  for (const map of table.maps.values()) t.equal(map.elements.size, 0);
  t.ok(table.sets.get('local4')!.elements.has('10.0.0.1'));
  const bridged = [{ address: '10.0.0.1', interface: 7, mac: '02:00:00:00:00:01', bridge: 5 }];
  t.equal(tableOf(inputOf(snapshotOf([], {}, bridged))).maps.get('from4')!.elements.size, 0, 'a bridged pod that can\'t be pulled out of its bridge, too');
  t.end();
});

t.test('two pods in one place are both strangers there', (t) => {
  const snapshot = snapshotOf([], {}, [{ address: '10.0.0.1', interface: 7 }]);
  const twin = { ...snapshot.endpoints[0], id: 2, uid: 'v' };
  t.equal(tableOf(inputOf({ ...snapshot, endpoints: [...snapshot.endpoints, twin] })).maps.get('from4')!.elements.size, 0);
  t.end();
});

t.test('the proxy\'s mark lets questions in; an answer to a pod\'s own address must come from who it says', (t) => {
  const { chains } = tableOf(inputOf(snapshotOf([rule({ dnsPatterns: [{ matchName: null, matchPattern: '*' }] })]), { isTransparentUpstream: true }));
  const mark = 'meta mark & 0x01000000 == 0x01000000';
  t.strictSame(chains.get('egress-input')!.rules.filter((text) => text.includes(mark)), [`ct state untracked ${mark} accept`]);
  t.match(chains.get('answers-to-proxy')!.rules, [/^ct direction reply /], 'which are tracked');
  t.end();
});

t.test('a bridged pod is looked at at its port, and known by the pair behind', (t) => {
  const at = [{ address: '10.0.0.1', interface: 7, mac: '02:00:00:00:00:01', bridge: 5 }];
  const input = inputOf(snapshotOf([], {}, at), { divert: { outer: 3, outerMac: '02:11:11:11:11:11', inner: 4 } });
  t.strictSame([...tableOf(input).maps.get('from4')!.elements.keys()], ['3 . 10.0.0.1']);
  t.strictSame([...tableOf(input).maps.get('to4')!.elements.keys()], ['5 . 10.0.0.1']);
  t.match(tableOf(input, 'netdev').chains.get('port-7')!.hook, /device "port"/);
  t.equal(tableOf({ ...input, nameOf: () => null }, 'netdev').chains.size, 0, 'a port that is gone has no chain');
  const ports = tableOf({ ...input, bridgePorts: [7, 8] }, 'netdev').chains;
  t.match(ports.get('port-7')!.rules.join('\n'), 'meta protocol { ip, ip6 } meta mark set', 'all that is not the pod\'s is a stranger\'s at its port');
  const other = ports.get('port-8')!.rules.join('\n');
  t.match(other, 'ip saddr @local4 meta mark set', 'at another port, who has a pod\'s address');
  t.notMatch(other, 'meta protocol { ip', 'and nobody else');
  t.equal(compileProgram(inputOf(snapshotOf([]))).tables.some(({ family }) => family !== 'inet'), false, 'nothing of bridges where no pod is bridged');
  t.end();
});

t.test('DNS goes to the proxy by the ports of the rules that say what may be asked, behind a Service by that one\'s', (t) => {
  const dns = rule({ identities: [257], ports: [{ first: 5353, last: 5353, protocol: 17 }], dnsPatterns: [{ matchName: null, matchPattern: '*' }] });
  const services = [{ namespace: 'a', name: 's', addresses: ['10.9.0.1'], ports: [{ port: 53, protocol: 17 as const, backends: [{ address: '10.0.1.1', port: 5353 }] }] }];
  const table = tableOf(inputOf(snapshotOf([dns], { services })));
  const chain = table.chains.get(table.maps.get('dns4')!.elements.get('7 . 10.0.0.1')!.slice('goto '.length))!;
  t.strictSame(chain.rules, ['meta l4proto udp th dport 5353 goto to-proxy', 'ip daddr . meta l4proto . th dport { 10.9.0.1 . udp . 53 } goto to-proxy']);
  t.equal(egressOf(table).length, 2, 'it opens nothing by itself');
  const plain = tableOf(inputOf(snapshotOf([rule({})])));
  t.equal(plain.maps.get('dns4')!.elements.get('7 . 10.0.0.1'), 'accept', 'without such rules nothing is redirected');
  t.equal(compileProgram(inputOf(snapshotOf([dns]), { redirectTo: { v4: null, v6: null } })).tables.length, 1, 'nor where there is no proxy to go to');
  t.end();
});

t.test('ports are merged, and held against the asked one behind DNAT', (t) => {
  t.strictSame(portMatches([{ first: 80, last: 90, protocol: null }, { first: 85, last: 100, protocol: null }]).arriving, ['meta l4proto { tcp, udp, sctp } th dport 80-100']);
  t.strictSame(portMatches([{ first: 80, last: 80, protocol: 6 }]).asked, ['meta l4proto tcp ct original proto-dst 80']);
  t.strictSame(portMatches([{ first: 0, last: 65535, protocol: 17 }]), { arriving: ['meta l4proto udp'], asked: [] });
  t.strictSame(portMatches([{ first: 8, last: 8, protocol: 1 }, { first: 0, last: 255, protocol: 58 }]).arriving, ['icmp type 8', 'meta l4proto icmpv6']);
  t.strictSame(dnsMatches([{ first: 53, last: 53, protocol: null }, { first: 853, last: 853, protocol: 6 }], 'sport'), ['meta l4proto tcp th sport { 53, 853 }', 'meta l4proto udp th sport 53']);
  t.end();
});

t.test('one pod more is elements, and no set, no chain', (t) => {
  const snapshot = snapshotOf([rule({ identities: [256, 257] })]);
  const more = {
    ...snapshot,
    endpoints: [...snapshot.endpoints, { ...snapshot.endpoints[0], id: 2, uid: 'v', addresses: ['10.0.0.2'], at: [{ address: '10.0.0.2', interface: 8 }] }],
    identities: snapshot.identities.map((one) => (one.identity === 256 ? { ...one, addresses: ['10.0.0.1', '10.0.0.2'] } : one)),
  };
  const [before, after] = [snapshot, more].map((one) => compileProgram(inputOf(one)));
  const lines = changeText(before, after, NONE).trim().split('\n');
  t.ok(lines.every((line) => line.startsWith('add element inet tandem')), lines.join('\n'));
  t.equal(changeText(after, compileProgram(inputOf(more)), NONE), '', 'equal input, equal program');
  t.match(wholeText(after, NONE), /^add table inet tandem\ndelete table inet tandem\ntable inet tandem \{/);
  t.end();
});

t.test('nothing is refused in audit mode, and what would be is logged as such', (t) => {
  const text = wholeText(compileProgram(inputOf(snapshotOf([rule({ identities: [257], deny: true })]), { auditMode: true, logGroup: 1053 })), NONE);
  t.notMatch(text, /goto refuse/);
  t.match(text, /"td e u abababababababab 0"/);
  t.match(text, /"td e u abababababababab -"/);
  t.end();
});

import t from 'tap';
import { parseAddress, type PolicyRule, type Snapshot } from '@tandem/core';
import { fqdnGroups, fqdnSetName } from '../fqdn-groups.js';
import { elementText, OpenElements } from './open-elements.js';

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'n', name: 'p', path: 'spec' } as const;

function rule(...patterns: string[]): PolicyRule {
  return { identities: [], fqdns: patterns.map((matchPattern) => ({ matchName: null, matchPattern })), ports: [], dnsPatterns: null, origin: ORIGIN };
}

function snapshotOf(...rules: readonly PolicyRule[]): Snapshot {
  return {
    revision: 1, hash: '0', nodeName: 'node', identities: [], services: [], fqdnSelectors: [], policies: [],
    endpoints: [{ id: 1, uid: 'u', namespace: 'n', pod: 'p', identity: 256, addresses: ['10.0.0.1', 'fd00::1'], ruleSet: 0 }],
    ruleSets: [{ key: '0', rules }],
  };
}

t.test('an address opens in the set of every rule that speaks of its name, and in no other', (t) => {
  const snapshot = snapshotOf(rule('*.example.com.'), rule('a.example.com.', 'b.example.org.'), rule('*.example.net.'));
  const elements = new OpenElements('node');
  elements.setPolicy(snapshot);
  const groups = fqdnGroups(snapshot, 'node');
  t.equal(groups.length, 3);
  const sets = (name: string, address: string): string[] => elements.of(name, parseAddress(address)!, 1).map(({ set }) => set);
  t.strictSame(sets('a.example.com.', '192.0.2.1'), [fqdnSetName(groups[0], 4), fqdnSetName(groups[1], 4)]);
  t.strictSame(sets('x.example.com.', 'fd00::9'), [fqdnSetName(groups[0], 6)]);
  t.strictSame(sets('example.com.', '192.0.2.1'), []);
  t.strictSame([...elements.of('x.example.net.', parseAddress('192.0.2.7')!, 1)[0].key], [192, 0, 2, 7]);
  t.ok(fqdnSetName(groups[0], 6).length <= 31, 'the kernel takes no longer name');
  t.end();
});

t.test('the same selectors in another order are the same set, over policies and members', (t) => {
  const names = (snapshot: Snapshot): string[] => fqdnGroups(snapshot, 'node').map((group) => fqdnSetName(group, 4));
  t.strictSame(names(snapshotOf(rule('a.', 'b.'))), names(snapshotOf(rule('b.', 'a.'))));
  t.strictSame(names(snapshotOf(rule('a.', 'b.'), rule('b.', 'a.'))).length, 1);
  t.not(names(snapshotOf(rule('a.')))[0], names(snapshotOf(rule('b.')))[0]);
  t.end();
});

t.test('with grant scope endpoint an element is the pod\'s address and what it learned, of one family', (t) => {
  const elements = new OpenElements('endpoint');
  elements.setPolicy(snapshotOf(rule('*.example.com.')));
  const v4 = elements.of('a.example.com.', parseAddress('192.0.2.1')!, 1);
  t.strictSame(v4.map(({ key }) => [...key]), [[10, 0, 0, 1, 192, 0, 2, 1]]);
  const v6 = elements.of('a.example.com.', parseAddress('fd00::9')!, 'u');
  t.equal(v6[0].key.length, 32);
  t.strictSame(elements.of('a.example.com.', parseAddress('192.0.2.1')!, 2), [], 'nobody is endpoint 2');
  t.end();
});

t.test('texts of elements are equal for equal ones alone', (t) => {
  const texts = new Set([
    elementText({ set: 'a', key: new Uint8Array([1, 2, 3, 4]) }), elementText({ set: 'a', key: new Uint8Array([1, 2, 3, 5]) }),
    elementText({ set: 'b', key: new Uint8Array([1, 2, 3, 4]) }), elementText({ set: 'a', key: new Uint8Array([1, 2, 3, 4]) }),
  ]);
  t.equal(texts.size, 3);
  t.end();
});

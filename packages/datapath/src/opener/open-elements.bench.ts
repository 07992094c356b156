/** What opening a learned address costs the query path, the kernel left out: `npm run bench:micro -- --only open-elements`. */
import { parseAddress, type PolicyRule, type Snapshot } from '@tandem/core';
import type { GrantScope } from '../fqdn-groups.js';
import { elementText, OpenElements } from './open-elements.js';
import { SetBatch } from './set-batch.js';

const RULES = 100;
const NAMES = 1024;
const BATCH = 128;
const TIMEOUT_MS = 300_000;
const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'n', name: 'p', path: 'spec' } as const;

const rules = Array.from({ length: RULES }, (_, i): PolicyRule => ({
  identities: [], fqdns: [{ matchName: null, matchPattern: `*.zone-${i}.test.` }], ports: [], dnsPatterns: null, origin: ORIGIN,
}));
const snapshot: Snapshot = {
  revision: 1, hash: '0', nodeName: 'node', identities: [], services: [], fqdnSelectors: [], policies: [],
  endpoints: [{ id: 1, uid: 'u', namespace: 'n', pod: 'p', identity: 256, addresses: ['10.0.0.1', 'fd00::1'], ruleSet: 0 }],
  ruleSets: [{ key: '0', rules }],
};
const names = Array.from({ length: NAMES }, (_, i) => `h${i}.zone-${i % RULES}.test.`);
const addresses = Array.from({ length: NAMES }, (_, i) => parseAddress(`192.0.${i >> 8}.${i & 255}`)!);

/** A name that is known, and its element looked up among those that are open. */
function lookUp(scope: GrantScope): (count: number) => void {
  const elements = new OpenElements(scope);
  elements.setPolicy(snapshot);
  const open = new Map(names.flatMap((name, i) => elements.of(name, addresses[i], 1)).map((element): [string, number] => [elementText(element), TIMEOUT_MS]));
  let next = 0;
  return (count) => {
    for (let n = 0; n < count; n++) {
      const i = next++ % NAMES;
      const [element] = elements.of(names[i], addresses[i], 1);
      if (open.get(elementText(element)) !== TIMEOUT_MS) throw new Error(names[i]);
    }
  };
}

const batch = new SetBatch(BATCH);
const key = Uint8Array.of(192, 0, 2, 1);

function write(count: number): void {
  for (let n = 0; n < count; n++) {
    batch.add('fqdn4_0123456789ab', key, TIMEOUT_MS);
    if (batch.size === BATCH && batch.take().length === 0) throw new Error('an empty batch');
  }
}

export const subjects: Readonly<Record<string, (count: number) => void>> = {
  'an address that is open, for the node': lookUp('node'),
  'an address that is open, for the pod': lookUp('endpoint'),
  'an element of a batch': write,
};

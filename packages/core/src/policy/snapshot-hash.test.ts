import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { canonicalJson } from './content-hash.js';
import { ruleSetKey, sha256OfTexts, snapshotHash, type HashTools } from './snapshot-hash.js';
import type { PolicyRule, RuleSet } from './snapshot.js';

const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const selector = fc.record({ matchPattern: fc.option(text), matchName: fc.option(text) });
const rule: fc.Arbitrary<PolicyRule> = fc.record({
  origin: fc.record({ path: text, name: text, namespace: text, kind: fc.constantFrom('CiliumNetworkPolicy' as const, 'NetworkPolicy' as const) }),
  ports: fc.array(fc.record({ protocol: fc.constantFrom(6 as const, null), last: fc.nat(), first: fc.nat() }), { maxLength: 2 }),
  identities: fc.option(fc.array(fc.nat(), { maxLength: 3 })),
  fqdns: fc.array(selector, { maxLength: 2 }),
  dnsPatterns: fc.option(fc.array(selector, { maxLength: 2 })),
  queryTypes: fc.array(fc.nat(), { maxLength: 2 }),
  deny: fc.constant(true as const),
}, { requiredKeys: ['origin', 'ports', 'identities', 'fqdns', 'dnsPatterns'] });
const ruleSet: fc.Arbitrary<RuleSet> = fc.record({
  rules: fc.array(rule, { maxLength: 3 }), key: text, openByDefault: fc.constant(true as const),
  limits: fc.record({ queryRate: fc.nat(), privateNames: fc.array(selector, { maxLength: 1 }), auditRate: fc.constant(true as const) }, { requiredKeys: [] }),
}, { requiredKeys: ['rules', 'key'] });

const location = fc.record({ mac: text, link: text, interface: fc.nat(), bridge: fc.nat(), address: text }, { requiredKeys: ['interface', 'address'] });
const endpoint = fc.record({
  at: fc.array(location, { maxLength: 2 }),
  uid: text, ruleSet: fc.option(fc.nat()), pod: text, namespace: text, identity: fc.nat(), id: fc.nat(), addresses: fc.array(text, { maxLength: 2 }), ingressRuleSet: fc.nat(),
}, { requiredKeys: ['uid', 'ruleSet', 'pod', 'namespace', 'identity', 'id', 'addresses'] });
const direction = fc.record({ rules: fc.nat(), defaultDeny: fc.boolean() });
const spec = fc.record({
  rules: fc.nat(), path: text, ingress: direction, endpoints: fc.array(fc.nat(), { maxLength: 2 }), defaultDeny: fc.boolean(),
}, { requiredKeys: ['rules', 'path', 'endpoints', 'defaultDeny'] });
const policy = fc.record({ specs: fc.array(spec, { maxLength: 2 }), namespace: text, name: text, kind: fc.constant('NetworkPolicy' as const) });

t.test('hashes are those of the canonical JSON, whoever computes them', (t) => {
  const native: HashTools = {
    texts: new WeakMap(),
    sha256: (texts) => {
      const hash = createHash('sha256');
      for (const one of texts) hash.update(one);
      return hash.digest('hex');
    },
  };
  fc.assert(fc.property(fc.array(ruleSet, { maxLength: 3 }), fc.array(selector, { maxLength: 3 }), fc.boolean(), fc.boolean(), fc.array(endpoint, { maxLength: 2 }), fc.array(policy, { maxLength: 2 }), (ruleSets, fqdnSelectors, hasCidrs, hasBoot, endpoints, policies) => {
    const content = {
      nodeName: 'n\u00e9', ...(hasBoot ? { boot: 'b"' } : {}), endpoints, identities: [], ...(hasCidrs ? { cidrs: [{ identity: 0x1000000, cidr: '10.0.0.0/8' }], contested: [{ identities: [256, 257], address: '10.0.0.1' }] } : {}), services: [], ruleSets,
      fqdnSelectors, policies,
    };
    const expected = sha256OfTexts([canonicalJson(content)]);
    if (snapshotHash(content) !== expected || snapshotHash(content, native) !== expected) throw new Error('the hash of the content');
    for (const { rules, openByDefault, limits } of ruleSets) {
      const set = { rules, ...(openByDefault === undefined ? {} : { openByDefault }), ...(limits === undefined ? {} : { limits }) };
      const isPlain = set.openByDefault === undefined && set.limits === undefined;
      const ofSet = sha256OfTexts([canonicalJson(isPlain ? set.rules : set)]);
      if (ruleSetKey(set) !== ofSet || ruleSetKey(set, native) !== ofSet) throw new Error('the hash of a rule set');
    }
  }), { numRuns: 300 });
  t.pass();
  t.end();
});

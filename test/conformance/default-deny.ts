/** When a direction is closed: sections, enableDefaultDeny, and directions apart from each other. */
import { cite, type Group } from './case.js';
import { ccnp, cnp, manifests, namesAtKubeDns, np, OUTSIDE, WORLD } from './world.js';

const at = cite('Documentation/security/policy/intro.rst#endpoint-default-policy');
const code = cite('pkg/policy/api/rule.go');
const own = cite('docs/reference/policy.md');

const sections: Group = {
  name: 'a section closes its own direction',
  manifests: manifests(
    WORLD,
    cnp('shop/egress-only', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
    cnp('shop/ingress-only', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]`),
    cnp('bank/deny-only', `
      endpointSelector: {matchLabels: {app: ledger}}
      ingressDeny: [{fromEntities: [world]}]`),
    cnp('bank/neither', `
      endpointSelector: {matchLabels: {app: web}}`),
  ),
  cases: [
    at.isDenied('shop/web', OUTSIDE, 'tcp/80'),
    at.isRefused('shop/web', 'two.test'),
    at.reaches(OUTSIDE, 'shop/web', 'tcp/80'),
    at.asks('shop/cart', 'two.test'),
    at.reaches('shop/cart', OUTSIDE, 'tcp/80'),
    at.isDenied(OUTSIDE, 'shop/cart', 'tcp/80'),
    at.isDenied('shop/api', 'shop/cart', 'tcp/80'),
    at.asks('bank/ledger', 'two.test'),
    at.isDenied('shop/api', 'bank/ledger', 'tcp/80'),
    cite('Documentation/security/policy/intro.rst#rule-basics').asks('bank/web', 'two.test'),
    cite('Documentation/security/policy/intro.rst#rule-basics').reaches('bank/web', OUTSIDE, 'tcp/80'),
    at.reaches('lab/probe', OUTSIDE, 'tcp/80'),
    at.reaches(OUTSIDE, 'lab/probe', 'tcp/80'),
  ],
};

const opened: Group = {
  name: 'enableDefaultDeny: false leaves the rest open',
  manifests: manifests(
    WORLD,
    cnp('shop/visible', `
      endpointSelector: {matchLabels: {app: web}}
      enableDefaultDeny: {egress: false, ingress: false}
      egress: [${namesAtKubeDns('{matchPattern: "*"}')}]`),
    cnp('shop/not-there', `
      endpointSelector: {matchLabels: {app: cart}}
      enableDefaultDeny: {egress: false}
      egressDeny: [{toCIDR: [203.0.113.0/24]}, {toEndpoints: [{matchLabels: {app: api}}], toPorts: [{ports: [{port: "22", protocol: TCP}]}]}]`),
    ccnp('not-from-there', `
      endpointSelector: {matchLabels: {app: ledger}}
      enableDefaultDeny: {ingress: false}
      ingressDeny: [{fromCIDR: [203.0.113.0/24]}]`),
    cnp('bank/half', `
      endpointSelector: {matchLabels: {app: web}}
      enableDefaultDeny: {egress: false}
      egress: [{toEndpoints: [{matchLabels: {app: vault}}]}]
      ingress: [{fromEndpoints: [{matchLabels: {app: vault}}]}]`),
    cnp('lab/one-name', `
      endpointSelector: {}
      enableDefaultDeny: {egress: false}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
  ),
  cases: [
    at.asks('lab/probe', 'one.test'),
    at.isRefused('lab/probe', 'two.test'),
    at.reaches('lab/probe', OUTSIDE, 'tcp/80'),
    at.asks('shop/web', 'any.test'),
    at.reaches('shop/web', OUTSIDE, 'tcp/80'),
    at.reaches(OUTSIDE, 'shop/web', 'tcp/80'),
    at.isDenied('shop/cart', OUTSIDE, 'tcp/80', { rule: 'not-there spec.egressDeny[0]' }),
    at.reaches('shop/cart', '198.51.100.1', 'tcp/80'),
    at.isDenied('shop/cart', 'shop/api', 'tcp/22', { rule: 'not-there spec.egressDeny[1]' }),
    at.reaches('shop/cart', 'shop/api', 'tcp/80'),
    at.asks('shop/cart', 'any.test'),
    at.isDenied(OUTSIDE, 'bank/ledger', 'tcp/80', { rule: 'not-from-there spec.ingressDeny[0]' }),
    at.reaches('198.51.100.1', 'bank/ledger', 'tcp/80'),
    at.reaches('bank/web', OUTSIDE, 'tcp/80'),
    at.isDenied(OUTSIDE, 'bank/web', 'tcp/80'),
    at.reaches('bank/vault', 'bank/web', 'tcp/80'),
  ],
};

const asked: Group = {
  name: 'one policy that asks for it closes the direction for all',
  manifests: manifests(
    WORLD,
    cnp('shop/open', `
      endpointSelector: {matchLabels: {app: web}}
      enableDefaultDeny: {egress: false}
      egress: [{toCIDR: [203.0.113.0/24]}]`),
    cnp('shop/closed', `
      endpointSelector: {matchLabels: {tier: front}}
      egress: [{toCIDR: [198.51.100.0/24]}]`),
    cnp('shop/closes-by-word', `
      endpointSelector: {matchLabels: {app: cart}}
      enableDefaultDeny: {egress: true, ingress: true}`),
    cnp('bank/open', `
      endpointSelector: {matchLabels: {app: ledger}}
      enableDefaultDeny: {ingress: false}
      ingress: [{fromEndpoints: [{matchLabels: {app: vault}}]}]`),
    np('bank/closed', `
      podSelector: {matchLabels: {app: ledger}}
      policyTypes: [Ingress]`),
  ),
  cases: [
    code.reaches('shop/web', '203.0.113.7', 'tcp/80', { rule: 'open spec.egress[0]' }),
    code.reaches('shop/web', '198.51.100.1', 'tcp/80', { rule: 'closed spec.egress[0]' }),
    code.isDenied('shop/web', '192.0.2.1', 'tcp/80'),
    own.isDenied('shop/cart', OUTSIDE, 'tcp/80'),
    own.isRefused('shop/cart', 'any.test'),
    own.isDenied(OUTSIDE, 'shop/cart', 'tcp/80'),
    code.reaches('bank/vault', 'bank/ledger', 'tcp/80', { rule: 'open spec.ingress[0]' }),
    code.isDenied('shop/api', 'bank/ledger', 'tcp/80'),
  ],
};

export const defaultDeny: readonly Group[] = [sections, opened, asked];

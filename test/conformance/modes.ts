/** Enforcement modes. */
import { cite, type Group } from './case.js';
import { cnp, HOST, manifests, namesAtKubeDns, OUTSIDE, WORLD } from './world.js';

const at = cite('Documentation/security/policy/intro.rst#policy-enforcement-modes');

const policies = manifests(
  WORLD,
  cnp('shop/names', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
  cnp('shop/denied', `
      endpointSelector: {matchLabels: {app: cart}}
      egressDeny: [{toEntities: [world]}]
      ingressDeny: [{fromEntities: [world]}]`),
  cnp('lab/open', `
      endpointSelector: {}
      enableDefaultDeny: {egress: false}
      egress: [{toCIDR: [203.0.113.0/24]}]`),
);
const repository = cite('pkg/policy/repository.go');

export const modes: readonly Group[] = [
  {
    name: 'mode default',
    manifests: policies,
    cases: [
      at.asks('shop/web', 'one.test'),
      at.isRefused('shop/web', 'two.test'),
      at.asks('bank/web', 'two.test'),
      at.reaches('bank/web', OUTSIDE, 'tcp/80'),
      repository.reaches('lab/probe', '198.51.100.1', 'tcp/80'),
    ],
  },
  {
    name: 'mode always',
    manifests: policies,
    settings: { enablePolicy: 'always' },
    cases: [
      at.asks('shop/web', 'one.test', { rule: 'names spec.egress[0]' }),
      at.isRefused('shop/web', 'two.test'),
      at.isRefused('bank/web', 'two.test'),
      at.isDenied('bank/web', OUTSIDE, 'tcp/80'),
      at.isDenied('bank/web', 'bank/vault', 'tcp/80'),
      at.isDenied(OUTSIDE, 'bank/web', 'tcp/80'),
      at.isDenied('shop/api', 'shop/web', 'tcp/80'),
      repository.reaches('lab/probe', OUTSIDE, 'tcp/80', { rule: 'open spec.egress[0]' }),
      repository.isDenied('lab/probe', '198.51.100.1', 'tcp/80'),
      repository.isRefused('lab/probe', 'two.test'),
      cite('Documentation/security/policy/layer3.rst#access-to-from-local-host').reaches(HOST, 'bank/web', 'tcp/80'),
    ],
  },
  {
    name: 'mode never',
    manifests: policies,
    settings: { enablePolicy: 'never' },
    cases: [
      at.asks('shop/web', 'two.test'),
      at.asks('shop/cart', 'two.test'),
      at.reaches('shop/web', OUTSIDE, 'tcp/80'),
      at.reaches('shop/cart', OUTSIDE, 'tcp/80'),
      at.reaches(OUTSIDE, 'shop/cart', 'tcp/80'),
    ],
  },
];

/** What Tandem adds to the language: annotations under tandem.dev/. Limits that count or look at answers are tested live in test/pair. */
import { cite, DNS_TYPE, type Group } from './case.js';
import { ccnp, cnp, manifests, namesAtKubeDns, OUTSIDE, WORLD } from './world.js';

const at = cite('docs/reference/policy.md');

const queryTypes: Group = {
  name: 'query types',
  manifests: manifests(
    WORLD,
    cnp('shop/addresses', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchPattern: "*.shop.test"}')}]`, 'tandem.dev/query-types: "A, AAAA"'),
    cnp('shop/texts', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchName: txt.shop.test}')}]`, 'tandem.dev/query-types: TXT'),
    cnp('shop/no-rules', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toPorts: [{ports: [{port: "53"}]}]}]`, 'tandem.dev/query-types: A'),
    ccnp('bank', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [${namesAtKubeDns('{matchPattern: "*"}')}]`, 'tandem.dev/query-types: "A"'),
    cnp('lab/else-open', `
      endpointSelector: {}
      enableDefaultDeny: {egress: false}
      egress: [${namesAtKubeDns('{matchPattern: "*.shop.test"}')}]`, 'tandem.dev/query-types: "A, AAAA"'),
  ),
  cases: [
    at.asks('shop/web', 'www.shop.test', { rule: 'addresses spec.egress[0]' }),
    at.asks('shop/web', 'www.shop.test', { type: DNS_TYPE.AAAA }),
    at.isRefused('shop/web', 'www.shop.test', { type: DNS_TYPE.TXT }),
    at.isRefused('shop/web', 'www.shop.test', { type: DNS_TYPE.ANY }),
    at.asks('shop/web', 'txt.shop.test', { type: DNS_TYPE.TXT, rule: 'texts spec.egress[0]' }),
    at.asks('shop/web', 'txt.shop.test', { type: DNS_TYPE.A, rule: 'addresses spec.egress[0]' }),
    at.isRefused('shop/web', 'txt.shop.test', { type: DNS_TYPE.MX }),
    at.asks('shop/cart', 'any.test', { type: DNS_TYPE.TXT }),
    at.asks('bank/ledger', 'any.test'),
    at.isRefused('bank/ledger', 'any.test', { type: DNS_TYPE.AAAA }),
    at.isRefused('bank/ledger', 'any.test', { type: DNS_TYPE.HTTPS, protocol: 'tcp' }),
    at.asks('bank/web', 'any.test', { type: DNS_TYPE.TXT }),
    at.asks('lab/probe', 'www.shop.test'),
    at.isRefused('lab/probe', 'www.shop.test', { type: DNS_TYPE.TXT }),
    at.isRefused('lab/probe', 'www.bank.test', { type: DNS_TYPE.TXT }),
    at.asks('lab/probe', 'www.bank.test', { server: '198.51.100.53', type: DNS_TYPE.TXT }),
  ],
};

const denyFqdns: Group = {
  name: 'denied names',
  manifests: manifests(
    WORLD,
    cnp('shop/open', `
      endpointSelector: {}
      egress: [${namesAtKubeDns('{matchPattern: "*"}')}, {toFQDNs: [{matchPattern: "*"}]}]`),
    cnp('shop/not-ads', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDR: [198.51.100.0/24]}]`, 'tandem.dev/deny-fqdns: "ads.test, **.ads.test"'),
    ccnp('nobody', `
      endpointSelector: {matchLabels: {app: cart}}
      enableDefaultDeny: {egress: false}
      egressDeny: [{toCIDR: [192.0.2.0/24]}]`, 'tandem.dev/deny-fqdns: "bad.test"'),
  ),
  cases: [
    at.asks('shop/web', 'www.test', { rule: 'open spec.egress[0]' }),
    at.isRefused('shop/web', 'ads.test', { rule: 'not-ads metadata.annotations' }),
    at.isRefused('shop/web', 'a.b.ads.test'),
    at.isRefused('shop/web', 'ADS.test', { type: DNS_TYPE.TXT, protocol: 'tcp' }),
    at.asks('shop/web', 'myads.test'),
    at.reaches('shop/web', OUTSIDE, 'tcp/443', { fqdn: 'www.test' }),
    at.isDenied('shop/web', OUTSIDE, 'tcp/443', { fqdn: 'ads.test', rule: 'not-ads metadata.annotations' }),
    at.isDenied('shop/web', '198.51.100.1', 'tcp/443', { fqdn: 'a.ads.test' }),
    at.reaches('shop/web', '198.51.100.1', 'tcp/443'),
    at.asks('shop/cart', 'ads.test'),
    at.isRefused('shop/cart', 'bad.test', { rule: 'nobody metadata.annotations' }),
    at.asks('shop/cart', 'a.bad.test'),
  ],
};

export const extensions: readonly Group[] = [queryTypes, denyFqdns];

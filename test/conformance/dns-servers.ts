/** Whom a pod may ask: per-server rules, by pod, Service, node, prefix and port. */
import { cite, DNS_SERVER, type Group } from './case.js';
import { ccnp, cnp, COREDNS, KUBE_DNS, manifests, namesAtKubeDns, OTHER_NODE, pod, REMOTE_NODE, service, slice, WORLD, WORLD_WITHOUT_DNS } from './world.js';

const LAYER3 = 'Documentation/security/policy/layer3.rst';
const LAYER4 = 'Documentation/security/policy/layer4.rst';
const PROXY = 'Documentation/security/policy/layer7.rst#dns-proxy';
const CHECK = 'pkg/fqdn/dnsproxy/proxy.go';

const perServer = cite(CHECK);
const servers: Group = {
  name: 'each rule is for its own server',
  manifests: manifests(
    WORLD,
    pod('lab/resolver', '127.0.2.53', { labels: 'app: resolver', node: OTHER_NODE }),
    cnp('shop/two-servers', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - ${namesAtKubeDns('{matchPattern: "*.cluster.local"}')}
        - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: lab, app: resolver}}]
          toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*.example.test"}]}}]
        - toCIDR: [198.51.100.53/32]
          toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: outside.test}]}}]`),
  ),
  cases: [
    perServer.asks('shop/web', 'api.cluster.local', { rule: 'two-servers spec.egress[0].toPorts[0]' }),
    perServer.isRefused('shop/web', 'www.example.test'),
    perServer.isRefused('shop/web', 'outside.test'),
    perServer.asks('shop/web', 'www.example.test', { server: '127.0.2.53', rule: 'two-servers spec.egress[1]' }),
    perServer.isRefused('shop/web', 'api.cluster.local', { server: '127.0.2.53' }),
    perServer.isRefused('shop/web', 'www.example.test', { server: '127.0.2.53', protocol: 'tcp' }),
    perServer.asks('shop/web', 'outside.test', { server: '198.51.100.53', rule: 'two-servers spec.egress[2]' }),
    perServer.asks('shop/web', 'outside.test', { server: '198.51.100.53', protocol: 'tcp' }),
    perServer.isRefused('shop/web', 'outside.test', { server: '198.51.100.54' }),
    perServer.isRefused('shop/web', 'api.cluster.local', { server: '198.51.100.53' }),
  ],
};

const ports = cite(LAYER4 + '#limit-ingress-egress-ports');
const byPort: Group = {
  name: 'port and protocol of the server',
  manifests: manifests(
    WORLD,
    cnp('shop/odd-port', `
      endpointSelector: {matchLabels: {app: web}}
      egress:
        - toEndpoints: [${KUBE_DNS}]
          toPorts: [{ports: [{port: "5353", protocol: UDP}], rules: {dns: [{matchPattern: "*"}]}}]`),
    cnp('shop/tcp-only', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - toEndpoints: [${KUBE_DNS}]
          toPorts: [{ports: [{port: "53", protocol: TCP}], rules: {dns: [{matchPattern: "*"}]}}]`),
    cnp('bank/no-protocol', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress:
        - toEndpoints: [${KUBE_DNS}]
          toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]`),
    cnp('bank/any-port', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [${KUBE_DNS}]}]`),
    cnp('lab/range', `
      endpointSelector: {}
      egress:
        - toEndpoints: [${KUBE_DNS}]
          toPorts: [{ports: [{port: "50", endPort: 60, protocol: UDP}]}]`),
  ),
  cases: [
    ports.isRefused('shop/web', 'www.shop.test'),
    ports.asks('shop/web', 'www.shop.test', { port: 5353 }),
    ports.isRefused('shop/web', 'www.shop.test', { port: 5353, protocol: 'tcp' }),
    ports.isRefused('shop/cart', 'www.shop.test'),
    ports.asks('shop/cart', 'www.shop.test', { protocol: 'tcp', rule: 'tcp-only spec.egress[0]' }),
    ports.asks('bank/ledger', 'www.shop.test'),
    ports.asks('bank/ledger', 'www.shop.test', { protocol: 'tcp' }),
    ports.asks('bank/web', 'www.shop.test', { rule: 'any-port spec.egress[0]' }),
    ports.asks('bank/web', 'www.shop.test', { port: 5353 }),
    ports.asks('lab/probe', 'www.shop.test', { rule: 'range spec.egress[0]' }),
    ports.isRefused('lab/probe', 'www.shop.test', { protocol: 'tcp' }),
    ports.isRefused('lab/probe', 'www.shop.test', { port: 5353 }),
  ],
};

const anyServer = cite(PROXY);
const noL3: Group = {
  name: 'no word on the server',
  manifests: manifests(
    WORLD,
    cnp('shop/any-server', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toPorts: [{ports: [{port: "53", protocol: ANY}], rules: {dns: [{matchPattern: "*.shop.test"}]}}]}]`),
    cnp('shop/no-server', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEndpoints: [{matchLabels: {app: no-such}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}]`),
    cnp('bank/nothing', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{}]`),
  ),
  cases: [
    anyServer.asks('shop/web', 'www.shop.test', { rule: 'any-server spec.egress[0].toPorts[0]' }),
    anyServer.asks('shop/web', 'www.shop.test', { server: '8.8.8.8' }),
    anyServer.asks('shop/web', 'www.shop.test', { server: '2001:db8::53' }),
    anyServer.isRefused('shop/web', 'www.bank.test'),
    anyServer.isRefused('shop/cart', 'www.shop.test'),
    cite(`${LAYER3}#ingress-egress-default-deny`).isRefused('bank/ledger', 'www.shop.test'),
    cite('Documentation/security/policy/intro.rst#endpoint-default-policy').asks('bank/web', 'anything.test'),
    cite('docs/reference/settings.md').isRefused('127.0.9.9', 'www.shop.test'),
  ],
};

const outside = cite(`${LAYER3}#ip-cidr-based`);
const world = cite(`${LAYER3}#entities-based`);
const prefixes: Group = {
  name: 'a server outside of the cluster, by prefix and entity',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    cnp('shop/by-cidr', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDR: [${DNS_SERVER}/32], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/by-set', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - toCIDRSet: [{cidr: 127.0.0.0/8, except: [127.0.0.0/24]}]
          toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]
        - toCIDRSet: [{cidr: 127.0.0.0/16, except: [127.0.1.0/24]}]
          toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: two.test}]}}]`),
    cnp('bank/by-world', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEntities: [world], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('bank/by-cluster', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [cluster], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('lab/by-family', `
      endpointSelector: {}
      egress:
        - {toEntities: [world-ipv4], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: four.test}]}}]}
        - {toEntities: [world-ipv6], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: six.test}]}}]}`),
  ),
  cases: [
    outside.asks('shop/web', 'one.test', { rule: 'by-cidr spec.egress[0]' }),
    outside.isRefused('shop/web', 'two.test'),
    outside.isRefused('shop/web', 'one.test', { server: '127.0.0.54' }),
    outside.isRefused('shop/cart', 'one.test'),
    outside.asks('shop/cart', 'two.test', { rule: 'by-set spec.egress[1]' }),
    outside.asks('shop/cart', 'one.test', { server: '127.0.2.53' }),
    world.asks('bank/ledger', 'one.test', { rule: 'by-world spec.egress[0]' }),
    world.asks('bank/ledger', 'one.test', { server: '2001:db8::53' }),
    world.isRefused('bank/ledger', 'two.test'),
    world.isRefused('bank/web', 'one.test'),
    world.asks('lab/probe', 'four.test'),
    world.isRefused('lab/probe', 'six.test'),
    world.asks('lab/probe', 'six.test', { server: '2001:db8::53' }),
    world.isRefused('lab/probe', 'four.test', { server: '2001:db8::53' }),
  ],
};

const nodes: Group = {
  name: 'a server on the host network',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    pod('kube-system/node-cache', DNS_SERVER, { labels: 'k8s-app: node-cache', hostNetwork: true }),
    cnp('shop/to-host', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [host], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/to-remote', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [remote-node], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('bank/to-cidr', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toCIDR: [127.0.0.0/8], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('bank/to-labels', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, k8s-app: node-cache}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('lab/to-cluster', `
      endpointSelector: {}
      egress: [{toEntities: [cluster], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
  ),
  cases: [
    world.asks('shop/web', 'one.test', { rule: 'to-host spec.egress[0]' }),
    world.isRefused('shop/web', 'two.test'),
    world.isRefused('shop/web', 'one.test', { server: REMOTE_NODE }),
    world.isRefused('shop/cart', 'one.test'),
    world.asks('shop/cart', 'one.test', { server: REMOTE_NODE }),
    outside.isRefused('bank/ledger', 'one.test'),
    world.isRefused('bank/web', 'one.test'),
    world.asks('lab/probe', 'one.test'),
  ],
};

const services = cite(`${LAYER4}#limit-ingress-egress-ports`);
const backends = pod('kube-system/dns-backend', '127.0.2.53', { labels: 'k8s-app: kube-dns', node: OTHER_NODE, ports: '{name: dns, containerPort: 5353, protocol: UDP}' });
const clusterAddress: Group = {
  name: 'a Service address stands for its backends',
  manifests: manifests(
    WORLD_WITHOUT_DNS, backends,
    service('kube-system/kube-dns', `
      clusterIP: ${DNS_SERVER}
      selector: {k8s-app: kube-dns}
      ports: [{name: dns, port: 53, protocol: UDP, targetPort: dns}]`),
    cnp('shop/backend-port', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [${KUBE_DNS}], toPorts: [{ports: [{port: "5353", protocol: UDP}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/cidr-of-service', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toCIDR: [${DNS_SERVER}/32], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('bank/to-service', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toServices: [{k8sService: {serviceName: kube-dns, namespace: kube-system}}], toPorts: [{ports: [{port: "5353", protocol: UDP}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('bank/other-service', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toServices: [{k8sService: {serviceName: kube-dns, namespace: bank}}]}]`),
    cnp('lab/service-port', `
      endpointSelector: {}
      egress: [{toEndpoints: [${KUBE_DNS}], toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchName: one.test}]}}]}]`),
  ),
  cases: [
    services.asks('shop/web', 'one.test', { rule: 'backend-port spec.egress[0]' }),
    services.isRefused('shop/web', 'two.test'),
    services.isRefused('shop/web', 'one.test', { protocol: 'tcp' }),
    cite(`${LAYER3}#ip-cidr-based`).isRefused('shop/cart', 'one.test'),
    cite(`${LAYER3}#services-based`).asks('bank/ledger', 'one.test', { rule: 'to-service spec.egress[0]' }),
    cite(`${LAYER3}#services-based`).isRefused('bank/ledger', 'two.test'),
    cite(`${LAYER3}#services-based`).isRefused('bank/web', 'one.test'),
    cite('docs/reference/policy.md').asks('lab/probe', 'one.test', { rule: 'service-port spec.egress[0]' }),
  ],
};

const mixed: Group = {
  name: 'every backend of a Service must be allowed',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    pod('kube-system/dns-a', '127.0.2.53', { labels: 'k8s-app: kube-dns, side: a', node: OTHER_NODE }),
    pod('kube-system/dns-b', '127.0.2.54', { labels: 'k8s-app: kube-dns, side: b', node: OTHER_NODE }),
    service('kube-system/kube-dns', `
      clusterIP: ${DNS_SERVER}
      selector: {k8s-app: kube-dns}
      ports: [{port: 53, protocol: UDP}]`),
    cnp('shop/one-side', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, side: a}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/both-sides', `
      endpointSelector: {matchLabels: {app: cart}}
      egress:
        - {toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, side: a}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*.shop.test"}]}}]}
        - {toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system, side: b}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: www.shop.test}]}}]}`),
    cnp('bank/all', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
  ),
  cases: [
    cite('docs/reference/policy.md').isRefused('shop/web', 'one.test'),
    cite('docs/reference/policy.md').asks('shop/web', 'one.test', { server: '127.0.2.53' }),
    cite('docs/reference/policy.md').asks('shop/cart', 'www.shop.test'),
    cite('docs/reference/policy.md').isRefused('shop/cart', 'ftp.shop.test'),
    cite('docs/reference/policy.md').asks('bank/ledger', 'one.test', { rule: 'all spec.egress[0]' }),
  ],
};

const sliced: Group = {
  name: 'a Service without a selector',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    service('shop/resolver', `
      clusterIP: ${DNS_SERVER}
      ports: [{name: dns, port: 53, protocol: UDP}]`),
    slice('shop/resolver', '198.51.100.53 198.51.100.54', '{name: dns, port: 53, protocol: UDP}'),
    cnp('shop/to-service', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toServices: [{k8sService: {serviceName: resolver, namespace: shop}}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/to-one', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toCIDR: [198.51.100.53/32], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    ccnp('to-both', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toCIDR: [198.51.100.52/30], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
  ),
  cases: [
    cite(`${LAYER3}#services-based`).asks('shop/web', 'one.test', { rule: 'to-service spec.egress[0]' }),
    cite(`${LAYER3}#services-based`).isRefused('shop/web', 'two.test'),
    cite(`${LAYER3}#services-based`).asks('shop/web', 'one.test', { server: '198.51.100.53' }),
    cite('docs/reference/policy.md').isRefused('shop/cart', 'one.test'),
    outside.asks('bank/ledger', 'one.test', { rule: 'to-both spec.egress[0]' }),
  ],
};

const nowhere: Group = {
  name: 'a Service that leads nowhere',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    service('kube-system/kube-dns', `
      clusterIP: ${DNS_SERVER}
      selector: {k8s-app: kube-dns}
      ports: [{port: 53, protocol: UDP}]`),
    cnp('shop/any-server', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/by-label', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
    cnp('bank/by-world', `
      endpointSelector: {matchLabels: {app: ledger}}
      egress: [{toEntities: [world]}]`),
  ),
  cases: [
    cite('docs/reference/policy.md').asks('shop/web', 'one.test'),
    cite('docs/reference/policy.md').isRefused('shop/web', 'two.test'),
    cite('docs/reference/policy.md').isRefused('shop/cart', 'one.test'),
    cite('docs/reference/policy.md').isRefused('bank/ledger', 'one.test'),
  ],
};

const apiServer: Group = {
  name: 'a server at an address of the API server',
  manifests: manifests(
    WORLD_WITHOUT_DNS,
    service('default/kubernetes', 'ports: [{name: https, port: 443}]'),
    slice('default/kubernetes', DNS_SERVER, '{name: https, port: 6443}'),
    cnp('shop/to-api', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toEntities: [kube-apiserver], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
    cnp('shop/to-host', `
      endpointSelector: {matchLabels: {app: cart}}
      egress: [{toEntities: [host, remote-node], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchName: one.test}]}}]}]`),
  ),
  cases: [
    cite(`${LAYER3}#access-to-from-kube-apiserver`).asks('shop/web', 'one.test', { rule: 'to-api spec.egress[0]' }),
    cite(`${LAYER3}#access-to-from-kube-apiserver`).isRefused('shop/web', 'one.test', { server: '198.51.100.53' }),
    cite(`${LAYER3}#entities-based`).isRefused('shop/cart', 'one.test'),
  ],
};

const gone: Group = {
  name: 'pods that are no more',
  manifests: manifests(
    COREDNS, WORLD_WITHOUT_DNS,
    pod('shop/done', '127.0.1.9', { labels: 'app: web', phase: 'Succeeded' }),
    cnp('shop/names', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [${namesAtKubeDns('{matchName: one.test}')}]`),
  ),
  cases: [
    cite('docs/reference/policy.md').isRefused('127.0.1.9', 'one.test'),
    cite('docs/reference/policy.md').asks('127.0.1.1', 'one.test'),
  ],
};

export const dnsServers: readonly Group[] = [servers, byPort, noL3, prefixes, nodes, clusterAddress, mixed, sliced, nowhere, apiServer, gone];

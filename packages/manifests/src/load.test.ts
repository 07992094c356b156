import t from 'tap';
import { ANY_PEER, NO_EXTENSIONS, compileSnapshot } from '@tandem/core';
import { loadManifests, ManifestLoader } from './load.js';
import { formatProblem } from './problem.js';

const complaints = (text: string, path = 'a.yaml'): string[] => loadManifests([{ path, text }]).problems.map(formatProblem);

/** Policy with its spec given, from line 4 on; `spec:` is on line 4. */
const policy = (spec: string): string =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n${spec}`;
/** Egress rules from line 7 on, indented by two. */
const egress = (rules: string): string => policy(`  endpointSelector: {}\n  egress:\n${rules.replace(/^/gm, '  ')}`);

const GOOD = `# the whole language, as Cilium writes it
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: echo
  namespace: shop
  annotations: {any: thing}
spec:
  description: text
  endpointSelector:
    matchLabels: {app: net, "k8s:tier": front}
    matchExpressions:
    - {key: stage, operator: In, values: [prod, test]}
    - {key: any:gone, operator: DoesNotExist}
  enableDefaultDeny: {egress: true, ingress: false}
  egress:
  - toEndpoints:
    - matchLabels:
        k8s:io.kubernetes.pod.namespace: kube-system
        k8s-app: kube-dns
    toPorts:
    - ports:
      - {port: "53", protocol: ANY}
      - {port: "5353", protocol: UDP}
      rules:
        dns:
        - matchPattern: "*.K8s.intra"
        - matchName: cilium.io
  - toFQDNs:
    - matchName: "Cilium.io"
    - matchPattern: "*.k8s.intra."
    toPorts:
    - ports: [{port: "443", protocol: TCP, endPort: 445}, {port: "0"}]
status: {}
`;

t.test('a policy becomes plain data', (t) => {
  const { objects, problems } = loadManifests([{ path: 'echo.yaml', text: GOOD }]);
  t.same(problems, []);
  t.same(objects?.policies, [
    {
      kind: 'CiliumNetworkPolicy', namespace: 'shop', name: 'echo', extensions: NO_EXTENSIONS,
      specs: [{
        path: 'spec',
        endpointSelector: {
          matchLabels: { app: 'net', 'k8s:tier': 'front' },
          matchExpressions: [{ key: 'stage', operator: 'In', values: ['prod', 'test'] }, { key: 'any:gone', operator: 'DoesNotExist', values: [] }],
        },
        ingress: { allow: null, deny: null, defaultDeny: false },
        egress: {
          allow: [
            {
              ...ANY_PEER,
              endpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' }, matchExpressions: [] }],
              ports: [{
                path: 'toPorts[0]', ports: [{ first: 53, last: 53, protocol: null }, { first: 5353, last: 5353, protocol: 17 }],
                dns: [{ matchName: null, matchPattern: '*.k8s.intra.' }, { matchName: 'cilium.io.', matchPattern: null }],
              }],
            },
            {
              ...ANY_PEER,
              fqdns: [{ matchName: 'cilium.io.', matchPattern: null }, { matchName: null, matchPattern: '*.k8s.intra.' }],
              ports: [{ path: 'toPorts[0]', ports: [{ first: 443, last: 445, protocol: 6 }, { first: 0, last: 65535, protocol: null }], dns: null }],
            },
          ],
          deny: null,
          defaultDeny: true,
        },
      }],
    },
  ]);
  t.end();
});

t.test('several specs, clusterwide policies, empty rules and [{}] are kept apart', (t) => {
  const text = `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
specs:
- {endpointSelector: {}, egress: [{}]}
- {endpointSelector: {matchLabels: {a: b}}, egress: [{toEndpoints: []}]}
`;
  const { objects } = loadManifests([{ path: 'a.yaml', text }]);
  t.match(objects?.policies, [{
    kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'all',
    specs: [{ path: 'specs[0]', egress: { allow: [ANY_PEER] } }, { path: 'specs[1]', egress: { allow: [{ ...ANY_PEER, endpoints: [] }] } }],
  }]);
  t.end();
});

t.test('pods, namespaces, services and slices are read for what decides', (t) => {
  const text = `apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, uid: u-1, labels: {app: web}}
  spec:
    nodeName: n1
    serviceAccountName: robot
    containers:
    - {name: c, image: x, ports: [{name: dns, containerPort: 1053, protocol: UDP}, {containerPort: 80}, {name: sctp, containerPort: 7, protocol: SCTP}]}
  status: {phase: Running, podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: "FD00::0:1"}]}
- {apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: default}}
- apiVersion: v1
  kind: Service
  metadata: {name: dns, namespace: shop, labels: {tier: core}}
  spec: {clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, "fd00::10"], externalIPs: [192.0.2.7], selector: {app: web}, ports: [{name: dns, port: 53, protocol: UDP, targetPort: dns}, {name: tcp, port: 53, targetPort: 1053}]}
- {apiVersion: v1, kind: Service, metadata: {name: headless, namespace: default}, spec: {clusterIP: None, ports: [{port: 1}]}}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: dns-1, namespace: shop, labels: {kubernetes.io/service-name: dns}}
  addressType: IPv4
  endpoints: [{addresses: [10.0.0.1], conditions: {ready: false}}, {addresses: [10.0.0.2]}]
  ports: [{name: dns, port: 1053, protocol: UDP}]
`;
  const { objects, problems } = loadManifests([{ path: 'all.yaml', text }]);
  t.same(problems, []);
  t.same(objects, {
    namespaces: [{ name: 'shop', labels: { team: 'a' } }],
    pods: [
      { namespace: 'default', name: 'bare', uid: null, labels: {}, nodeName: null, hostNetwork: false, serviceAccount: null, phase: null, addresses: [], ports: [] },
      { namespace: 'shop', name: 'web', uid: 'u-1', labels: { app: 'web' }, nodeName: 'n1', hostNetwork: false, serviceAccount: 'robot', phase: 'Running', addresses: ['10.0.0.1', 'fd00::1'], ports: [{ name: 'dns', port: 1053, protocol: 17 }, { name: 'sctp', port: 7, protocol: 132 }] },
    ],
    services: [
      { namespace: 'default', name: 'headless', labels: {}, addresses: [], ports: [{ name: '', port: 1, protocol: 6, targetPort: null }], selector: null },
      { namespace: 'shop', name: 'dns', labels: { tier: 'core' }, addresses: ['10.96.0.10', 'fd00::10', '192.0.2.7'], selector: { app: 'web' }, ports: [{ name: 'dns', port: 53, protocol: 17, targetPort: 'dns' }, { name: 'tcp', port: 53, protocol: 6, targetPort: 1053 }] },
    ],
    endpointSlices: [{ namespace: 'shop', name: 'dns-1', serviceName: 'dns', addresses: ['10.0.0.1', '10.0.0.2'], ports: [{ name: 'dns', port: 1053, protocol: 17 }] }],
    policies: [],
  });
  t.same(compileSnapshot(objects!, { nodeName: 'n1', enablePolicy: 'default', allotment: null, revision: 1 }).snapshot.services[0].ports.length, 2);
  t.end();
});

t.test('JSON is read like YAML, tabs and all', (t) => {
  const text = '{\n\t"apiVersion": "v1",\n\t"kind": "Pod",\n\t"metadata": {"name": "a\\u002db"}\n}\n';
  t.equal(loadManifests([{ path: 'a.json', text }]).objects?.pods[0].name, 'a-b');
  t.same(complaints('{\n\t"apiVersion": "v1",\n\t"kind": "Pod",\n\t"metadata": {"name": 5, "namespace": "d"}\n}\n', 'a.json'), [
    'a.json:4:23: metadata.name: error: is the number 5; a string is wanted: write "5" in quotes',
  ]);
  t.end();
});

t.test('what is called JSON has to be JSON', (t) => {
  t.same(complaints('{\n\t"apiVersion": "v1",\n\t"kind": "Namespace",\n\t"metadata": {"name": "a"},\n}\n', 'a.json'), [
    'a.json:5:1: error: "}" where JSON wants a key in double quotes (a comma stands before it)',
  ]);
  t.same(complaints('apiVersion: v1\nkind: Namespace\nmetadata: {name: a}', 'a.json'), ['a.json:1:1: error: "a" where JSON wants a value']);
  t.same(complaints('\ufeff{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}', 'a.json'), []);
  t.end();
});

/** Text, and all complaints about it. */
const BAD: readonly (readonly [string, string, readonly string[]])[] = [
  ['an unknown field in a spec', policy('  endpointSelctor: {}'), [
    'a.yaml:5:3: spec: error: has no endpointSelector; write "endpointSelector: {}" for all pods',
    'a.yaml:5:3: spec.endpointSelctor: error: is unknown; did you mean "endpointSelector"?',
  ]],
  ['an unknown field in an egress rule', egress('- toFQDN: []'), ['a.yaml:7:5: spec.egress[0].toFQDN: error: is unknown; did you mean "toFQDNs"?']],
  ['an unknown field far from all', egress('- wherever: []'), ['a.yaml:7:5: spec.egress[0].wherever: error: is unknown']],
  ['several mistakes at once', egress('- toPorts:\n  - ports:\n    - {port: "70000"}\n    - {port: 53, protocol: tcp}\n    - {portt: "1"}'), [
    'a.yaml:9:16: spec.egress[0].toPorts[0].ports[0].port: error: is 70000; allowed are 0 to 65535',
    'a.yaml:10:16: spec.egress[0].toPorts[0].ports[1].port: error: is the number 53; a string is wanted: write "53" in quotes',
    'a.yaml:10:30: spec.egress[0].toPorts[0].ports[1].protocol: error: "tcp" is no protocol; TCP, UDP, SCTP and ANY are',
    'a.yaml:11:9: spec.egress[0].toPorts[0].ports[2]: error: has no port',
    'a.yaml:11:10: spec.egress[0].toPorts[0].ports[2].portt: error: is unknown; did you mean "port"?',
  ]],
  ['an octal port', egress('- toPorts: [{ports: [{port: "053"}]}]'), ['a.yaml:7:31: spec.egress[0].toPorts[0].ports[0].port: error: "053" is no port; write a decimal number from 0 to 65535, or the name of a container port']],
  ['port 0 with names', egress('- toPorts: [{ports: [{port: "0"}], rules: {dns: [{matchPattern: "*"}]}}]'), ['a.yaml:7:31: spec.egress[0].toPorts[0].ports[0].port: error: is 0 (every port), which rules.dns cannot have; write 53']],
  ['a range with names', egress('- toPorts: [{ports: [{port: "53", endPort: 54}], rules: {dns: [{matchPattern: "*"}]}}]'), ['a.yaml:7:46: spec.egress[0].toPorts[0].ports[0].endPort: error: makes a range, which rules.dns cannot have; list the ports']],
  ['a range that ends before it begins', egress('- toPorts: [{ports: [{port: "53", endPort: 52}]}]'), ['a.yaml:7:46: spec.egress[0].toPorts[0].ports[0].endPort: error: is 52, below port 53']],
  ['no port', egress('- toPorts: [{rules: {dns: [{matchPattern: "*"}]}}]'), ['a.yaml:7:15: spec.egress[0].toPorts[0]: error: needs a port: rules.dns applies to ports']],
  ['no port, no rules', egress('- toPorts: [{ports: []}]'), ['a.yaml:7:23: spec.egress[0].toPorts[0].ports: error: needs a port: an entry without one allows nothing']],
  ['too many ports', egress(`- toPorts: [{ports: [${Array(41).fill('{port: "53"}').join(', ')}]}]`), ['a.yaml:7:23: spec.egress[0].toPorts[0].ports: error: has 41 ports; the limit is 40, so write a second entry of toPorts']],
  ['other L7 rules', egress('- toPorts: [{ports: [{port: "80"}], rules: {http: [{}]}}]'), ['a.yaml:7:47: spec.egress[0].toPorts[0].rules.http: error: is not supported by this version: only rules.dns is enforced; leave it out']],
  ['TLS names', egress('- toPorts: [{ports: [{port: "80"}], serverNames: [a]}]'), ['a.yaml:7:39: spec.egress[0].toPorts[0].serverNames: error: is not supported by this version: name destinations by toFQDNs']],
  ['two L3 parts', egress('- {toEndpoints: [{}], toFQDNs: [{matchName: a.io}]}'), ['a.yaml:7:34: spec.egress[0].toFQDNs: error: stands next to toEndpoints; write two egress rules']],
  ['names under toFQDNs', egress('- {toFQDNs: [{matchName: a.io}], toPorts: [{ports: [{port: "53"}], rules: {dns: [{matchPattern: "*"}]}}]}'), ['a.yaml:7:83: spec.egress[0].toPorts[0].rules.dns: error: stands in a rule with toFQDNs, which selects no DNS server; put it into a rule with toEndpoints']],
  ['both names in one selector', egress('- toFQDNs: [{matchName: a.io, matchPattern: "*.io"}, {}]'), [
    'a.yaml:7:15: spec.egress[0].toFQDNs[0]: error: has both matchName and matchPattern; write two entries',
    'a.yaml:7:56: spec.egress[0].toFQDNs[1]: error: has neither matchName nor matchPattern',
  ]],
  ['bad names', egress(`- toFQDNs:\n  - matchName: "*.io"\n  - matchPattern: a..b\n  - matchName: ${'x'.repeat(256)}\n  - matchPattern: ""`), [
    'a.yaml:8:18: spec.egress[0].toFQDNs[0].matchName: error: holds "*"; allowed are letters, digits, "-", "_" and "."',
    'a.yaml:9:21: spec.egress[0].toFQDNs[1].matchPattern: error: has an empty label (two dots in a row)',
    'a.yaml:10:18: spec.egress[0].toFQDNs[2].matchName: error: has 256 characters; the limit is 255',
    'a.yaml:11:21: spec.egress[0].toFQDNs[3].matchPattern: error: is empty',
  ]],
  ['a field without a value', egress('- toEndpoints:\n  toPorts: [{ports: [{port: "53"}]}]'), ['a.yaml:7:5: spec.egress[0].toEndpoints: error: has no value; leave the field out or give it one']],
  ['an egress section without a value', policy('  endpointSelector: {}\n  egress:'), ['a.yaml:6:3: spec.egress: error: has no value; leave the field out or give it one']],
  ['bad selectors', policy('  endpointSelector:\n    matchLabels: {app: 1, "cni:x": y, "a b": c, ok: "no good"}\n    matchExpressions:\n    - {key: a, operator: in, values: [b]}\n    - {key: a, operator: In}\n    - {key: a, operator: Exists, values: [b]}\n    - {operator: Exists}\n  egress: [{}]'), [
    'a.yaml:6:24: spec.endpointSelector.matchLabels.app: error: is the number 1; a string is wanted: write "1" in quotes',
    'a.yaml:6:36: spec.endpointSelector.matchLabels["cni:x"]: error: the label source "cni" is unknown; known are k8s:, any:, reserved:',
    'a.yaml:6:46: spec.endpointSelector.matchLabels["a b"]: error: "a b" is no label key',
    'a.yaml:6:53: spec.endpointSelector.matchLabels.ok: error: "no good" is no label value: 63 letters, digits, "-", "_" and "." at most',
    'a.yaml:8:26: spec.endpointSelector.matchExpressions[0].operator: error: is "in"; known are In, NotIn, Exists, DoesNotExist; did you mean "In"?',
    'a.yaml:9:7: spec.endpointSelector.matchExpressions[1]: error: In needs values',
    'a.yaml:10:34: spec.endpointSelector.matchExpressions[2].values: error: Exists takes no values',
    'a.yaml:11:7: spec.endpointSelector.matchExpressions[3]: error: has no key',
  ]],
  ['a misspelt kind of policy', 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolcy\nmetadata: {name: a}', ['a.yaml:2:1: kind: error: cilium.io/v2 CiliumNetworkPolcy is unknown; did you mean "CiliumNetworkPolicy"?']],
  ['a wrong version of a kind', 'apiVersion: cilium.io/v1\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: d}', ['a.yaml:1:13: apiVersion: error: is "cilium.io/v1"; for CiliumNetworkPolicy it is "cilium.io/v2"']],
  ['a typed list', 'apiVersion: v1\nkind: PodList\nitems: []', ['a.yaml:2:1: kind: error: PodList is not read; write a v1 List, or one document for each object']],
  ['no kind', 'apiVersion: v1', ['a.yaml:1:1: error: has no kind']],
  ['no object', '- a', ['a.yaml:1:1: error: is a list; a mapping is wanted']],
  ['no name', 'apiVersion: v1\nkind: Pod\nmetadata: {namespace: d}', ['a.yaml:3:11: metadata: error: has no name']],
  ['a name that is none', 'apiVersion: v1\nkind: Pod\nmetadata: {name: A_b, namespace: d}', ['a.yaml:3:18: metadata.name: error: "A_b" is no name: lower-case letters, digits, "-" and "." are allowed']],
  ['a misspelt namespace', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespac: t}', [
    'a.yaml:3:11: metadata: warning: has no namespace: the object is taken to be in "default"',
    'a.yaml:3:21: metadata.namespac: error: is unknown; did you mean "namespace"?',
  ]],
  ['a misspelt field in the metadata of a clusterwide policy', 'apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: a, label: {}}\nspec: {endpointSelector: {}, egress: [{}]}', ['a.yaml:3:21: metadata.label: error: is unknown; did you mean "labels"?']],
  ['a namespace without a value', 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  namespace:', ['a.yaml:5:3: metadata.namespace: error: has no value; leave the field out or give it one']],
  ['mistakes in metadata and below, all of them', 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: A_b, namespace: T!, uid: 5}\nspec: {endpointSelector: {}, egres: []}', [
    'a.yaml:3:18: metadata.name: error: "A_b" is no name: lower-case letters, digits, "-" and "." are allowed',
    'a.yaml:3:34: metadata.namespace: error: "T!" is no namespace: lower-case letters, digits and "-" are allowed, 63 at most',
    'a.yaml:3:43: metadata.uid: error: is the number 5; a string is wanted: write "5" in quotes',
    'a.yaml:4:30: spec.egres: error: is unknown; did you mean "egress"?',
  ]],
  ['no metadata, and mistakes below', 'apiVersion: v1\nkind: Pod\nstatus: {podIP: x}', ['a.yaml:1:1: error: has no metadata', 'a.yaml:3:17: status.podIP: error: "x" is not an IP address']],
  ['two objects without a usable name', 'apiVersion: v1\nkind: Pod\nmetadata: {namespace: d}\n---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: d}', ['a.yaml:3:11: metadata: error: has no name', 'a.yaml:7:11: metadata: error: has no name']],
  ['a bad address', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: d}\nstatus: {podIP: 10.0.0.256}', ['a.yaml:4:17: status.podIP: error: "10.0.0.256" is not an IP address']],
  ['an object twice', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: default, name: a}', ['a.yaml:3:11: metadata: warning: has no namespace: the object is taken to be in "default"', 'a.yaml:7:38: metadata.name: error: Pod default/a is already written at a.yaml:3:18']],
  ['a key twice', 'apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: a, namespace: d}', ['a.yaml:3:1: error: the key "kind" comes twice in one mapping']],
  ['a merge key', 'apiVersion: v1\nkind: Pod\nmetadata: &m {name: a, namespace: d}\nspec: {<<: *m}', ['a.yaml:4:8: error: merge keys (<<) are not supported; write the fields out']],
  ['broken YAML next to a sound document', 'a: [1\n---\napiVersion: v1\nkind: Pod\nmetadata: {namespace: d}', [
    'a.yaml:2:1: error: Flow sequence in block collection must be sufficiently indented and end with a ]',
    'a.yaml:5:11: metadata: error: has no name',
  ]],
];

t.test('every mistake is named with file, line, column and field', (t) => {
  for (const [name, text, expected] of BAD) {
    const result = loadManifests([{ path: 'a.yaml', text }]);
    t.same(result.problems.map(formatProblem), expected, name);
    t.equal(result.objects, null, `${name}: no objects`);
  }
  t.end();
});

/** Text, and all warnings; objects come out all the same. */
const WARNED: readonly (readonly [string, string, readonly string[]])[] = [
  ['no namespace', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a, creationTimestamp: null, ownerReferences: []}', ['a.yaml:3:11: metadata: warning: has no namespace: the object is taken to be in "default"']],
  ['another kind', 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}', ['a.yaml:2:1: kind: warning: v1 ConfigMap is unknown and ignored']],
  ['an empty egress list', policy('  endpointSelector: {}\n  egress: []'), ['a.yaml:6:11: spec.egress: warning: is an empty list, which says nothing (as in Cilium); write [{}] to deny all']],
  ['another namespace in the subject', policy('  endpointSelector: {matchLabels: {"k8s:io.kubernetes.pod.namespace": other}}\n  egress: [{}]'), ['a.yaml:5:21: spec.endpointSelector: warning: the namespace "other" has no effect: the policy selects pods of its own namespace "shop"']],
  ['rules that name nothing', egress('- toPorts: [{ports: [{port: "53"}], rules: {dns: [{}]}}]'), ['a.yaml:7:52: spec.egress[0].toPorts[0].rules.dns: warning: names nothing, which allows every name (as in Cilium); write matchPattern "*" to say so']],
  ['a name that cannot be', egress(`- toFQDNs: [{matchName: ${'x'.repeat(64)}.io}]`), ['a.yaml:7:27: spec.egress[0].toFQDNs[0].matchName: warning: matches nothing: a DNS name has labels of 63 bytes at most, 255 bytes in all']],
];

t.test('what is known but not enforced is a warning, and objects come out', (t) => {
  for (const [name, text, expected] of WARNED) {
    const result = loadManifests([{ path: 'a.yaml', text }]);
    t.same(result.problems.map(formatProblem), expected, name);
    t.not(result.objects, null, name);
  }
  t.end();
});

t.test('problems of several files come out in one order, whatever the order of the files', (t) => {
  const files = [{ path: 'b.yaml', text: 'kind: Pod' }, { path: 'a.yaml', text: 'apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: d}' }, { path: 'c.yaml', text: 'apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: d}' }];
  const expected = ['b.yaml:1:1: error: has no apiVersion', 'c.yaml:3:18: metadata.name: error: Pod d/x is already written at a.yaml:3:18'];
  t.same(loadManifests(files).problems.map(formatProblem), expected);
  t.same(loadManifests([...files].reverse()).problems.map(formatProblem), expected);
  t.end();
});

t.test('empty files and comments are nothing, which is said', (t) => {
  for (const text of ['', '\n', '# only this\n', '---\n---\n', '~\n', '\ufeff']) {
    const { objects, problems } = loadManifests([{ path: 'a.yaml', text }]);
    t.same(problems.map(formatProblem), ['a.yaml: warning: holds no object'], JSON.stringify(text));
    t.same(objects?.pods, []);
  }
  t.same(complaints('\n', 'a.json'), ['a.json: warning: holds no object']);
  t.same(complaints('a: [1'), ['a.yaml:1:6: error: Flow sequence in block collection must be sufficiently indented and end with a ]'], 'a broken file is not called empty');
  t.end();
});

t.test('a file whose text is the same gives the same objects again, and is held against the others anew', (t) => {
  const loader = new ManifestLoader();
  const file = (path: string, name: string) => ({ path, text: `{apiVersion: v1, kind: Namespace, metadata: {name: ${name}}}` });
  const [first] = loader.load([file('a.yaml', 'one'), file('b.yaml', 'two')]).objects!.namespaces;
  const again = loader.load([file('b.yaml', 'three'), file('a.yaml', 'one')]).objects!.namespaces;
  t.equal(again[0], first);
  t.same(again.map(({ name }) => name), ['one', 'three']);
  t.same(loader.load([file('a.yaml', 'one'), file('b.yaml', 'one')]).problems.map(formatProblem), [
    'b.yaml:1:52: metadata.name: error: Namespace one is already written at a.yaml:1:52',
  ]);
  t.same(loader.load([file('a.yaml', 'one')]).problems, [], 'what was wrong is not remembered');
  t.end();
});

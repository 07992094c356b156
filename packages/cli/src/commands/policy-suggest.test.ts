import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DropReason, type Flow, Flow as FlowMessage, GetFlowsResponse, LostEventSource, Verdict } from '@tandem/proto';
import { parseAllDocuments } from 'yaml';
import { dnsFlow, FakeObserver, giving, responseOf } from '../testing/fake-observer.js';
import { folder, tandem, type Result } from '../testing/rig.js';

const linesOf = (flows: readonly Flow[]): string => flows.map((flow) => `${JSON.stringify(GetFlowsResponse.toJSON(responseOf(flow)))}\n`).join('');
const suggest = (flows: readonly Flow[], ...flags: string[]): Promise<Result> => tandem('/nowhere', ['policy', 'suggest', '--from-flows', '-', ...flags], { input: linesOf(flows) });
const manifestsOf = (out: string): unknown[] => parseAllDocuments(out).map((document) => document.toJS() as unknown);

const REFUSED = [
  dnsFlow({ uuid: '1', name: 'api.partner.example.', verdict: Verdict.DROPPED }), dnsFlow({ uuid: '2', name: 'WWW.shop.example.', verdict: Verdict.AUDIT }),
  dnsFlow({ uuid: '3', name: 'www.shop.example.', ips: ['198.51.100.10'] }), dnsFlow({ uuid: '4', name: 'cdn.shop.example.', verdict: Verdict.AUDIT }),
  dnsFlow({ uuid: '5', name: 'allowed.example.' }),
];
const SERVER = { toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' } }] };
const PORTS = [{ port: '53', protocol: 'ANY' }];

t.test('a workload\'s refused queries become a policy with its labels, its server\'s labels and the names', async (t) => {
  const { out, err, code } = await suggest(REFUSED);
  t.equal(code, 0);
  t.strictSame(manifestsOf(out), [{
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'allow-web', namespace: 'shop' },
    spec: {
      endpointSelector: { matchLabels: { app: 'web' } },
      egress: [
        { ...SERVER, toPorts: [{ ports: PORTS, rules: { dns: [{ matchName: 'api.partner.example' }, { matchName: 'cdn.shop.example' }, { matchName: 'www.shop.example' }] } }] },
        { toFQDNs: [{ matchName: 'www.shop.example' }] },
      ],
    },
  }]);
  t.equal(err, 'tandem: 1 policy for 3 queries; each closes all other egress of the pods that it selects\n');
  const dir = folder(t);
  writeFileSync(join(dir, 'suggested.yaml'), out);
  t.match(await tandem(dir, ['policy', 'validate', dir]), { code: 0, out: /1 file, 0 errors/ });
});

t.test('patterns, other verdicts, and JSON are for the asking', async (t) => {
  const [general] = manifestsOf((await suggest(REFUSED, '--generalize')).out) as { spec: { egress: { toPorts?: { rules: { dns: unknown } }[]; toFQDNs?: unknown }[] } }[];
  t.strictSame(general.spec.egress[0].toPorts?.[0].rules.dns, [{ matchName: 'api.partner.example' }, { matchPattern: '*.shop.example' }]);
  t.strictSame(general.spec.egress[1].toFQDNs, [{ matchName: 'www.shop.example' }]);
  t.notMatch((await suggest(REFUSED, '--no-to-fqdns')).out, 'toFQDNs');
  const forwarded = (await suggest(REFUSED, '--verdict', 'FORWARDED')).out;
  t.match(forwarded, 'allowed.example');
  t.notMatch(forwarded, 'partner');
  t.match(JSON.parse((await suggest(REFUSED, '-o', 'json')).out), { kind: 'List', items: [{ kind: 'CiliumNetworkPolicy' }] });
});

t.test('servers are told by labels, as a Service, as an entity, or by address', async (t) => {
  const to = (destination: object, more: object = {}): Flow => {
    const { destination: server, destinationService } = FlowMessage.fromPartial({ destination, ...more });
    return { ...dnsFlow({ verdict: Verdict.DROPPED }), destination: server, destinationService };
  };
  const peerOf = async (flow: Flow): Promise<unknown> => (manifestsOf((await suggest([flow])).out)[0] as { spec: { egress: object[] } } | undefined)?.spec.egress[0];
  t.match(await peerOf(to({ labels: ['reserved:world'] })), { toCIDR: ['10.0.0.53/32'] });
  t.match(await peerOf(to({ labels: ['reserved:host'] })), { toEntities: ['host'] });
  t.match(await peerOf(to({}, { destinationService: { name: 'kube-dns', namespace: 'kube-system' } })), { toServices: [{ k8sService: { serviceName: 'kube-dns', namespace: 'kube-system' } }] });
  const nameless = await suggest([to({ labels: ['k8s:io.kubernetes.pod.namespace=kube-system'] })]);
  t.strictSame([nameless.out, nameless.code], ['', 0]);
  t.match(nameless.err, /left out: 1 to a server without address, labels or port/);
});

t.test('what no policy can allow is left out, and said', async (t) => {
  const refused = (more: Partial<Flow>): Flow => ({ ...dnsFlow({ verdict: Verdict.DROPPED }), ...more });
  const { out, err } = await suggest([
    refused({ source: undefined }), refused({ dropReasonDesc: DropReason.POLICY_DENY }), refused({ dropReasonDesc: DropReason.DROP_RATE_LIMITED }),
    dnsFlow({ verdict: Verdict.DROPPED, name: 'a\\032b.example.' }), refused({ source: { ...dnsFlow().source!, labels: ['k8s:pod-template-hash=abc'] } }),
  ]);
  t.equal(out, '');
  t.strictSame(err.trimEnd().split('\n').sort(), [
    'tandem: left out: 1 asked by a pod without labels that tell its workload', 'tandem: left out: 1 asked by an address that is no known pod\'s',
    'tandem: left out: 1 denied by an egressDeny rule, which no other rule can lift', 'tandem: left out: 1 dropped for another reason than policy: DROP_RATE_LIMITED',
    'tandem: left out: 1 for a name that no matchName can have', 'tandem: no query with verdict DROPPED or AUDIT was seen that a policy could allow',
  ]);
});

t.test('one is one query, and more are queries', async (t) => {
  t.match((await suggest([dnsFlow({ verdict: Verdict.DROPPED })])).err, /1 policy for 1 query;/);
});

t.test('a policy that selects another workload\'s pods, too, is pointed out', async (t) => {
  const narrow = dnsFlow({ verdict: Verdict.DROPPED });
  narrow.source!.labels.push('k8s:tier=front');
  const { out, err } = await suggest([dnsFlow({ verdict: Verdict.DROPPED }), narrow]);
  t.strictSame(manifestsOf(out).map((manifest) => (manifest as { metadata: { name: string } }).metadata.name), ['allow-web', 'allow-web-2']);
  t.match(err, /the policy for shop app=web selects the pods of shop app=web,tier=front, too/);
});

t.test('a running pair is asked for its DNS flows, for as long as is said', async (t) => {
  const runDir = folder(t);
  const lost = GetFlowsResponse.fromPartial({ responseTypes: { $case: 'lostEvents', value: { source: LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: 3n } } });
  const observer = new FakeObserver(giving(lost, ...REFUSED.map(responseOf)));
  await observer.listen(t, `unix:${join(runDir, 'dns-proxy-hubble.sock')}`);
  t.match(await tandem(runDir, ['policy', 'suggest']), { code: 0, out: /matchName: api\.partner\.example/, err: /3 flows were lost/ });
  t.match(observer.asked.at(-1), { whitelist: [{ protocol: ['dns'] }], number: 18_446_744_073_709_551_615n, follow: false });
  t.match(await tandem(runDir, ['policy', 'suggest', '-f', '--for', '200ms', '-n', 'shop']), { code: 0, out: /matchName: api\.partner\.example/ });
  t.match(observer.asked.at(-1), { follow: true, number: 0n });
  t.match(await tandem(runDir, ['policy', 'suggest', '-n', 'elsewhere']), { code: 0, out: '' });
  const table: readonly [string, RegExp][] = [
    ['--for 10s', /--for says how long to --follow/], ['--from-flows x --last 3', /read whole/], ['--verdict ERROR', /Allowed choices are DROPPED/], ['-f --for never', /a duration/],
  ];
  for (const [flags, err] of table) t.match(await tandem(runDir, ['policy', 'suggest', ...flags.split(' ')]), { code: 64, err }, flags);
});

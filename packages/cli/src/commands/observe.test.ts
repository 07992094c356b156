import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServerCredentials, status } from '@grpc/grpc-js';
import t, { type Test } from 'tap';
import type { Role } from '@tandem/core';
import type { GetFlowsRequest} from '@tandem/proto';
import { GetFlowsResponse, LostEventSource, NodeState, Verdict } from '@tandem/proto';
import { parseAllDocuments } from 'yaml';
import { type Behaviour, dnsFlow, failing, FakeObserver, giving, responseOf, TEN_O_CLOCK } from '../testing/fake-observer.js';
import { folder, tandem } from '../testing/rig.js';

async function member(t: Test, runDir: string, role: Role, behaviour: Behaviour): Promise<FakeObserver> {
  const observer = new FakeObserver(behaviour);
  await observer.listen(t, `unix:${join(runDir, `${role}-hubble.sock`)}`);
  return observer;
}

const QUERY = dnsFlow({ uuid: 'a' });
const ANSWER = dnsFlow({ uuid: 'b', ips: ['172.17.0.2'] });
const REFUSAL = dnsFlow({ uuid: 'c', verdict: Verdict.DROPPED, name: 'evil.example.' });

t.test('requests, answers and refusals have the lines of Hubble\'s client', async (t) => {
  const runDir = folder(t);
  const observer = await member(t, runDir, 'agent', giving(responseOf(QUERY), responseOf(ANSWER), responseOf(REFUSAL)));
  t.strictSame(await tandem(runDir, ['observe']), {
    out: [
      'Nov  5 10:00:00.123: shop/web:41000 (ID:300) -> kube-system/kube-dns-1:53 (ID:301) dns-request proxy FORWARDED (DNS Query www.shop.example. A)',
      'Nov  5 10:00:00.123: shop/web:41000 (ID:300) <- kube-system/kube-dns-1:53 (ID:301) dns-response proxy FORWARDED (DNS Answer "172.17.0.2" TTL: 30 (Proxy www.shop.example. A))',
      'Nov  5 10:00:00.123: shop/web:41000 (ID:300) -> kube-system/kube-dns-1:53 (ID:301) dns-request proxy DROPPED (DNS Query evil.example. A)', '',
    ].join('\n'),
    err: '', code: 0, questions: [],
  });
  t.match(observer.asked, [{ number: 20n, follow: false, first: false, since: undefined, whitelist: [], blacklist: [] }]);
});

t.test('the JSON form is that of Hubble\'s client, with its names and all digits of the time', async (t) => {
  const runDir = folder(t);
  await member(t, runDir, 'agent', giving(responseOf(ANSWER)));
  for (const format of ['json', 'jsonpb']) {
    const { out } = await tandem(runDir, ['observe', '-o', format]);
    t.equal(out.split('\n').length, 2, 'one line');
    t.strictSame(JSON.parse(out), {
      flow: {
        time: '2026-11-05T10:00:00.123456789Z', verdict: 'FORWARDED',
        IP: { source: '10.0.0.53', destination: '10.0.0.7', ipVersion: 'IPv4' }, l4: { UDP: { source_port: 53, destination_port: 41000 } },
        source: { identity: 301, namespace: 'kube-system', labels: ['k8s:k8s-app=kube-dns', 'k8s:io.kubernetes.pod.namespace=kube-system'], pod_name: 'kube-dns-1' },
        destination: {
          ID: 7, identity: 300, namespace: 'shop', labels: ['k8s:app=web', 'k8s:io.kubernetes.pod.namespace=shop', 'k8s:pod-template-hash=abc'], pod_name: 'web',
          workloads: [{ name: 'web', kind: 'Deployment' }],
        },
        Type: 'L7', node_name: 'node-a',
        l7: { type: 'RESPONSE', dns: { query: 'www.shop.example.', ips: ['172.17.0.2'], ttl: 30, observation_source: 'proxy', qtypes: ['A'], rrtypes: ['A'] } },
        event_type: { type: 129 }, traffic_direction: 'EGRESS', is_reply: true, uuid: 'b', Summary: 'DNS Answer "172.17.0.2" TTL: 30 (Proxy www.shop.example. A)',
      },
      node_name: 'node-a', time: '2026-11-05T10:00:00.123456789Z',
    });
  }
  const [document] = parseAllDocuments((await tandem(runDir, ['observe', '-o', 'yaml'])).out);
  t.match(document.toJS(), { flow: { verdict: 'FORWARDED', uuid: 'b' } });
});

t.test('dict and table have the keys and columns of Hubble\'s client', async (t) => {
  const runDir = folder(t);
  await member(t, runDir, 'agent', giving(responseOf(QUERY), responseOf(REFUSAL)));
  t.equal((await tandem(runDir, ['observe', '-o', 'dict'])).out, [
    '  TIMESTAMP: Nov  5 10:00:00.123', '     SOURCE: shop/web:41000', 'DESTINATION: kube-system/kube-dns-1:53', '       TYPE: dns-request proxy',
    '    VERDICT: FORWARDED', '    SUMMARY: DNS Query www.shop.example. A', '------------',
    '  TIMESTAMP: Nov  5 10:00:00.123', '     SOURCE: shop/web:41000', 'DESTINATION: kube-system/kube-dns-1:53', '       TYPE: dns-request proxy',
    '    VERDICT: DROPPED', '    SUMMARY: DNS Query evil.example. A', '',
  ].join('\n'));
  const table = [
    'TIMESTAMP             SOURCE           DESTINATION                 TYPE                VERDICT     SUMMARY',
    'Nov  5 10:00:00.123   shop/web:41000   kube-system/kube-dns-1:53   dns-request proxy   FORWARDED   DNS Query www.shop.example. A',
    'Nov  5 10:00:00.123   shop/web:41000   kube-system/kube-dns-1:53   dns-request proxy   DROPPED     DNS Query evil.example. A', '',
  ].join('\n');
  for (const format of ['tab', 'table']) t.equal((await tandem(runDir, ['observe', '-o', format])).out, table);
  t.match(await tandem(runDir, ['observe', '-o', 'table', '-f']), { code: 64, err: /cannot follow/ });
});

t.test('addresses, times, nodes and colours are shown as asked', async (t) => {
  const runDir = folder(t);
  await member(t, runDir, 'agent', giving(responseOf(QUERY)));
  const asRow = async (...flags: string[]): Promise<string> => (await tandem(runDir, ['observe', ...flags], { screen: { columns: 80, rows: 24 }, env: { NO_COLOR: '1' } })).out;
  for (const flag of ['--numeric', '--no-ip-translation', '--ip-translation=false']) t.match(await asRow(flag), ': 10.0.0.7:41000 (ID:300) -> 10.0.0.53:53 (ID:301) ', flag);
  t.match(await asRow('--print-node-name'), /^Nov {2}5 10:00:00\.123 \[node-a\]: shop/);
  t.match(await asRow('--time-format', 'RFC3339Nano'), /^2026-11-05T10:00:00\.123456789Z: shop/);
  const coloured = (await tandem(runDir, ['observe', '--color', 'always'])).out;
  t.match(coloured, '\x1b[36mshop/web:\x1b[33m41000\x1b[0m\x1b[0m \x1b[35m(ID:300)\x1b[0m -> ');
  t.match(coloured, 'proxy \x1b[32mFORWARDED\x1b[0m (');
  t.notMatch(await asRow(), '\x1b');
});

t.test('filters go to the server in the order and the lists that --not gives them', async (t) => {
  const runDir = folder(t);
  const observer = await member(t, runDir, 'agent', giving());
  const cases: readonly (readonly [string, object])[] = [
    ['--protocol dns --verdict DROPPED --verdict AUDIT', { whitelist: [{ protocol: ['dns'], verdict: [2, 4] }], blacklist: [] }],
    ['--pod shop/web', { whitelist: [{ sourcePod: ['shop/web'], destinationPod: [] }, { sourcePod: [], destinationPod: ['shop/web'] }] }],
    ['--from-pod shop/web --not --port 53 --port 80', {
      whitelist: [{ sourcePod: ['shop/web'], sourcePort: ['80'] }, { sourcePod: ['shop/web'], destinationPort: ['80'] }],
      blacklist: [{ sourcePort: ['53'] }, { destinationPort: ['53'] }],
    }],
    ['-n shop', { whitelist: [{ sourcePod: ['shop/'] }, { destinationPod: ['shop/'] }] }],
    ['--from-namespace shop --from-pod web --from-pod shop/api', { whitelist: [{ sourcePod: ['shop/web', 'shop/api'] }] }],
    ['-A --pod web', { whitelist: [{ sourcePod: ['/web'] }, { destinationPod: ['/web'] }] }],
    ['-4 -t l7 -t trace:to-stack -l app=web', { whitelist: [{ ipVersion: [1], eventType: [{ type: 129 }, { type: 4, matchSubType: true, subType: 3 }], sourceLabel: ['app=web'] }, { destinationLabel: ['app=web'] }] }],
    ['--identity world --drop-reason-desc POLICY_DENIED', { whitelist: [{ sourceIdentity: [2], dropReasonDesc: [133] }, { destinationIdentity: [2] }] }],
    ['--to-fqdn *.a.example --uuid x --ip-version v6 --traffic-direction egress --dns-query ^a', {
      whitelist: [{ destinationFqdn: ['*.a.example'], uuid: ['x'], ipVersion: [2], trafficDirection: [2], dnsQuery: ['^a'] }],
    }],
    ['--to-workload Deployment/web --from-service shop/api --tcp-flags syn,ack', {
      whitelist: [{ destinationWorkload: [{ kind: 'Deployment', name: 'web' }], sourceService: ['shop/api'], tcpFlags: [{ SYN: true, ACK: true, FIN: false }] }],
    }],
  ];
  for (const [flags, expected] of cases) {
    observer.asked.length = 0;
    await tandem(runDir, ['observe', ...flags.split(' ')]);
    t.match(observer.asked, [expected], flags);
  }
  observer.asked.length = 0;
  await tandem(runDir, ['observe', '--allowlist', '{"source_pod":["shop/"],"verdict":["DROPPED"]}', '--denylist', '{"protocol":["tcp"]}']);
  t.match(observer.asked, [{ whitelist: [{ sourcePod: ['shop/'], verdict: [2] }], blacklist: [{ protocol: ['tcp'] }] }]);
  const any = (await tandem(runDir, ['observe', '-A', '--not', '--from-all-namespaces', '--verdict', 'DROPPED', '--print-raw-filters'])).out;
  t.equal(any, 'allowlist:\n  - \'{"verdict":["DROPPED"]}\'\ndenylist:\n  - "{}"\n', 'any namespace is no filter');
  const raw = (await tandem(runDir, ['observe', '--from-pod', 'web', '--not', '--verdict', 'FORWARDED', '--print-raw-filters'])).out;
  t.equal(raw, 'allowlist:\n  - \'{"source_pod":["web"]}\'\ndenylist:\n  - \'{"verdict":["FORWARDED"]}\'\n');
});

t.test('how many flows, and of when, is asked as Hubble\'s client does', async (t) => {
  const runDir = folder(t);
  const observer = await member(t, runDir, 'agent', giving());
  const seconds = (text: string): bigint => BigInt(Date.parse(text) / 1_000);
  const cases: readonly (readonly [string, Partial<GetFlowsRequest>])[] = [
    ['--last 5', { number: 5n, first: false }], ['--first 5', { number: 5n, first: true }], ['--all', { number: 18_446_744_073_709_551_615n }],
    ['--since 2026-11-05T10:00:00Z', { number: 0n, since: { seconds: seconds('2026-11-05T10:00:00Z'), nanos: 0 } }],
    ['--until 2026-11-05', { number: 0n, until: { seconds: seconds('2026-11-05T00:00:00Z'), nanos: 0 } }],
    ['--since 2026-11-05T10:00:00.5+01:00 --last 3', { number: 3n, since: { seconds: seconds('2026-11-05T09:00:00Z'), nanos: 500_000_000 } }],
  ];
  for (const [flags, expected] of cases) {
    observer.asked.length = 0;
    await tandem(runDir, ['observe', ...flags.split(' ')]);
    t.match(observer.asked, [expected], flags);
  }
  observer.asked.length = 0;
  const before = Date.now();
  await tandem(runDir, ['observe', '--since', '1m30s']);
  const sinceMs = Number(observer.asked[0].since!.seconds) * 1_000;
  t.ok(sinceMs >= before - 91_000 && sinceMs <= Date.now() - 89_000, 'a duration is one before now');
});

t.test('what makes no sense is refused before anybody is asked', async (t) => {
  const runDir = folder(t);
  const table: readonly [string, RegExp][] = [
    ['--first 1 --last 1', /--first and --last/], ['--first 1 --all', /--first and --all/], ['--first 1 -f', /--first and --follow/], ['--last 1 --all', /--last and --all/],
    ['--last 0', /1 or more/], ['--last 18446744073709551616', /1 or more/], ['--since never', /--since "never": a duration/], ['--until 2026-13-01', /--until/],
    ['--not', /--not has no filter/], ['--not --not --pod x', /one is enough/], ['--pod x --ip 1.2.3.4', /--pod and --ip cannot be combined/],
    ['--from-port 70000', /a port is expected/], ['--verdict MAYBE', /Allowed choices are FORWARDED/], ['--identity somebody', /a number is expected, or one of unknown, host/],
    ['--type fun', /types are drop/], ['--drop-reason-desc NO_REASON', /POLICY_DENIED/], ['--tcp-flags syn,xyz', /XYZ is no TCP flag/], ['--http-header x', /NAME:VALUE/],
    ['--from-namespace a --from-pod b/c', /b\/c is not in namespace a/], ['--allowlist {', /is not JSON/], ['--allowlist []', /a JSON object/],
    ['--allowlist {"source_pot":["x"]}', /"source_pot" is no field/], ['--allowlist {"verdict":["MAYBE"]}', /does not know/], ['--server nowhere', /ADDR:PORT or unix:PATH/],
    ['--server 1.2.3.4:1 --tls-client-cert-file x', /go together/], ['--server 1.2.3.4:1 --tls --tls-ca-cert-files /nowhere', /cannot be read/], ['-o xml', /Allowed choices are compact/],
  ];
  for (const [flags, err] of table) t.match(await tandem(runDir, ['observe', ...flags.split(' ')]), { code: 64, out: '', err }, flags);
});

t.test('lost flows and members that go are said beside the flows, and in JSON among them', async (t) => {
  const runDir = folder(t);
  const time = { seconds: BigInt(TEN_O_CLOCK), nanos: 0 };
  const lost = GetFlowsResponse.fromPartial({ time, nodeName: 'node-a', responseTypes: { $case: 'lostEvents', value: { source: LostEventSource.HUBBLE_RING_BUFFER, numEventsLost: 12n } } });
  const gone = GetFlowsResponse.fromPartial({ time, nodeName: 'node-a', responseTypes: { $case: 'nodeStatus', value: { stateChange: NodeState.NODE_UNAVAILABLE, nodeNames: ['node-a/agent'] } } });
  await member(t, runDir, 'dns-proxy', giving(lost, gone, responseOf(QUERY)));
  t.match(await tandem(runDir, ['observe']), {
    out: /^Nov {2}5 .*FORWARDED.*\n$/, err: 'EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 12\nNov  5 10:00:00.000 [node-a]: 1 nodes are unavailable: node-a/agent\n',
  });
  t.equal((await tandem(runDir, ['observe', '-s'])).err, '');
  const { out, err } = await tandem(runDir, ['observe', '-o', 'json']);
  t.match(JSON.parse(out.split('\n')[0]), { lost_events: { source: 'HUBBLE_RING_BUFFER', num_events_lost: '12' }, node_name: 'node-a', time: '2026-11-05T10:00:00Z' });
  t.match(JSON.parse(err), { node_status: { state_change: 'NODE_UNAVAILABLE', node_names: ['node-a/agent'] } });
});

t.test('when the member that is followed dies, it goes on at the other, and no flow comes twice', async (t) => {
  const runDir = folder(t);
  const interrupt = new AbortController();
  const second = (uuid: string, offset: number): GetFlowsResponse => responseOf(dnsFlow({ uuid, second: TEN_O_CLOCK + offset, name: `${uuid}.example.` }));
  const agent = await member(t, runDir, 'agent', giving(second('a', 0), second('b', 1)));
  const dnsProxy = await member(t, runDir, 'dns-proxy', giving(second('a', 0), second('b', 1), second('c', 2)));
  const { out, err, code } = await tandem(runDir, ['observe', '-f'], {
    interrupt: interrupt.signal,
    onOut: (text) => {
      if (text.includes('b.example.')) agent.kill();
      if (text.includes('c.example.')) interrupt.abort();
    },
  });
  t.equal(code, 0, 'Ctrl-C is how it ends');
  t.strictSame([...out.matchAll(/Query (\w)\.example/g)].map(([, name]) => name), ['a', 'b', 'c']);
  t.match(err, /^tandem: agent is gone: .*\ntandem: going on at dns-proxy\n$/);
  t.match(agent.asked, [{ follow: true, number: 0n, since: undefined }]);
  t.match(dnsProxy.asked, [{ follow: true, number: 0n, since: { seconds: BigInt(TEN_O_CLOCK) } }], 'from the first flow on that was seen, but no further back');
});

t.test('whoever follows waits for a member to come back', async (t) => {
  const runDir = folder(t);
  const interrupt = new AbortController();
  const first = await member(t, runDir, 'agent', giving(responseOf(dnsFlow({ uuid: 'a' }))));
  const followed = tandem(runDir, ['observe', '-f', '--member', 'agent'], {
    interrupt: interrupt.signal,
    onOut: (text) => {
      if (text.includes('again.example.')) interrupt.abort();
      else first.kill();
    },
    onErr: (text) => { if (text.includes('; waiting') || text.includes('waiting\n')) void member(t, runDir, 'agent', giving(responseOf(dnsFlow({ uuid: 'b', name: 'again.example.' })))); },
  });
  t.match(await followed, { code: 0, err: /tandem: agent is gone: .*\ntandem: agent: .*; waiting\ntandem: going on at agent\n$/ });
});

t.test('nobody there, a named server that breaks off, and a refused filter are errors', async (t) => {
  const runDir = folder(t);
  t.match(await tandem(runDir, ['observe']), { code: 69, out: '', err: /^tandem: no flows are to be had \(agent: not running, or its --hubble-listen is elsewhere; dns-proxy: not running, or its --hubble-listen is elsewhere\); start the pair/ });
  const observer = new FakeObserver(failing(status.INVALID_ARGUMENT, 'dns_query "(": missing parenthesis'));
  const port = await observer.listen(t, '127.0.0.1:0');
  const server = ['--server', `127.0.0.1:${port}`];
  t.match(await tandem(runDir, ['observe', '--dns-query', '(', ...server]), { code: 64, err: `tandem: 127.0.0.1:${port}: dns_query "(": missing parenthesis\n` });
  observer.behaviour = failing(status.UNAVAILABLE, 'going away');
  t.match(await tandem(runDir, ['observe', '-f', ...server]), { code: 69, err: /going away/ });
  observer.behaviour = giving(responseOf(QUERY));
  t.match(await tandem(runDir, ['observe', ...server]), { code: 0, out: /FORWARDED/ });
  observer.kill();
  t.match(await tandem(runDir, ['observe', ...server]), { code: 69, err: /127\.0\.0\.1:\d+: cannot be reached/ });
});

t.test('a server with TLS is asked by its name, and with a certificate of one\'s own', async (t) => {
  const dir = folder(t);
  const openssl = (...args: string[]): void => { execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' }); };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=ca', '-keyout', 'ca.key', '-out', 'ca.pem');
  for (const name of ['server', 'client']) {
    openssl('req', ...key, '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}.example`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-copy_extensions', 'copy', '-out', `${name}.pem`);
  }
  const read = (name: string): Buffer => readFileSync(join(dir, name));
  const observer = new FakeObserver(giving(responseOf(QUERY)));
  const port = await observer.listen(t, '127.0.0.1:0', ServerCredentials.createSsl(read('ca.pem'), [{ private_key: read('server.key'), cert_chain: read('server.pem') }], true));
  const server = ['observe', '--server', `tls://127.0.0.1:${port}`, '--tls-ca-cert-files', join(dir, 'ca.pem')];
  const own = ['--tls-client-cert-file', join(dir, 'client.pem'), '--tls-client-key-file', join(dir, 'client.key')];
  t.match(await tandem(dir, [...server, ...own, '--tls-server-name', 'server.example']), { code: 0, out: /FORWARDED/ });
  t.match(await tandem(dir, [...server, ...own, '--tls-server-name', 'other.example']), { code: 69, out: '', err: /cannot be reached/ });
  t.match(await tandem(dir, [...server, '--tls-server-name', 'server.example']), { code: 69, out: '' });
  t.match(await tandem(dir, ['observe', '--server', `127.0.0.1:${port}`]), { code: 69, out: '' });
  t.match(await tandem(dir, [...server, '--tls-client-cert-file', join(dir, 'ca.key'), '--tls-client-key-file', join(dir, 'client.key')]), { code: 64, err: /TLS files cannot be used/ });
});

t.test('a flow from a stranger cannot write to the terminal', async (t) => {
  const runDir = folder(t);
  await member(t, runDir, 'agent', giving(responseOf({ ...dnsFlow({ pod: 'a\x1b[2Jb' }), Summary: 'DNS Query \x9b1m\n' })));
  for (const format of ['compact', 'dict', 'tab', 'json']) t.notMatch((await tandem(runDir, ['observe', '-o', format])).out.trimEnd(), /[\x00-\x09\x0b-\x1f\x7f-\x9f]/, format);
});

t.test('what was printed as JSON can be read again, from a file or standard input', async (t) => {
  const runDir = folder(t);
  await member(t, runDir, 'agent', giving(responseOf(QUERY), responseOf(ANSWER)));
  const json = (await tandem(runDir, ['observe', '-o', 'json'])).out;
  const compact = (await tandem(runDir, ['observe'])).out;
  const file = join(runDir, 'flows.json');
  writeFileSync(file, `${json}\n`);
  t.match(await tandem('/nowhere', ['observe', '--input-file', file]), { code: 0, out: compact });
  t.match(await tandem('/nowhere', ['observe', '--input-file', '-'], { input: json }), { code: 0, out: compact });
  t.match(await tandem('/nowhere', ['observe', '--input-file', '-', '-o', 'json'], { input: json }), { code: 0, out: json });
  t.match(await tandem('/nowhere', ['observe', '--input-file', '-'], { input: `${json}{"a":1}\n` }), { code: 65, err: /standard input:3: is no flow; a line of 'tandem observe -o json'/ });
  t.match(await tandem('/nowhere', ['observe', '--input-file', '/nowhere/flows.json']), { code: 64, err: /cannot be read: ENOENT/ });
  t.match(await tandem('/nowhere', ['observe', '--input-file', file, '--pod', 'x']), { code: 64, err: /filters are applied by a member/ });
});

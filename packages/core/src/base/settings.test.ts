import t from 'tap';
import { AppError } from './app-error.js';
import { parseDurationMs, parseSettings, type RawSetting } from './settings-parse.js';
import {
  defaultTextOf, durationText, environmentNameOf, flagOf, rangeTextOf, SETTINGS, type SettingFacts,
} from './settings.js';

const facts: SettingFacts = {
  role: 'agent', hostname: 'node-a', runDir: '/run/tandem', stateDir: '/var/lib/tandem/agent', resolver: '192.0.2.53:53',
  localAddresses: ['127.0.0.1', '198.51.100.7', '2001:db8::7'],
};

function flag(name: string, ...texts: string[]): RawSetting {
  return { name, texts, where: `--${name}`, from: 'argv' };
}

function inFile(name: string, ...texts: string[]): RawSetting {
  return { name, texts, where: `tandem.yaml:7: ${name}`, from: 'file' };
}

function refusal(raws: readonly RawSetting[], with_: Partial<SettingFacts> = {}): AppError {
  try {
    parseSettings(raws, { ...facts, ...with_ });
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

t.test('without any raw value every setting has its documented default', (t) => {
  const { settings, notices } = parseSettings([], facts);
  t.strictSame(settings, {
    role: 'agent', mode: 'explicit',
    listen: [{ address: '127.0.0.1', port: 10053, family: 4 }],
    upstreams: [{ address: '192.0.2.53', port: 53, family: 4 }],
    datapath: 'none', grantScope: 'node', clientAddressUpstream: false, podCidrs: [], packetMark: 0x100_0000, routeTable: 10_053,
    policyPort: 53, manifestsDir: null, kubernetes: false, kubeconfig: null, clusterCidrs: [], nodeName: 'node-a', runDir: '/run/tandem', stateDir: '/var/lib/tandem/agent',
    httpListen: { address: '127.0.0.1', port: 9964, family: 4 },
    unknownEndpoint: 'refuse', enablePolicy: 'default', staleSourceLimitSeconds: 0, auditMode: false, enableHubble: true, flowCapacity: 8191, workers: 1, slots: 8192, upstreamPorts: 64,
    tcpIdleTimeoutMs: 10_000, tcpConnections: 1024, tcpConnectionsPerClient: 128, rejectResponseCode: 'refused',
    refusedSearchExpansions: 'refuse', clusterDomain: 'cluster.local', searchDomains: [],
    dnsCompression: true, minTtlSeconds: 0, maxIpsPerHostname: 1000,
    maxDeferredDeletes: 10_000, idleConnectionGraceMs: 0, gcIntervalMs: 60_000,
    connectionGcIntervalMs: 60_000, preCachePath: null, responseMaxDelayMs: 100, concurrencyLimit: 0,
    concurrencyGraceMs: 0, pairListen: null, pairConnect: null, ciliumAgent: null, standaloneProxyListen: null, pairTlsCert: null, pairTlsKey: null, pairTlsCa: null,
    hubbleListen: '/run/tandem/agent-hubble.sock', hubbleTlsCertFile: null, hubbleTlsKeyFile: null, hubbleTlsClientCaFiles: [], metricsCiliumPrefix: 'cilium_', logLevel: 'info', logFormat: 'json',
  });
  t.ok(Object.isFrozen(settings));
  t.strictSame(notices, []);
  t.equal(parseSettings([], { ...facts, role: 'dns-proxy' }).settings.httpListen.port, 9965);
  t.end();
});

t.test('in transparent mode other defaults hold, and what contradicts it is told with the remedy', (t) => {
  const { settings } = parseSettings([flag('mode', 'transparent')], { ...facts, resolver: null });
  t.match(settings, { listen: [{ address: '127.0.0.153', port: 53 }, { address: 'fd53::1', port: 53 }], upstreams: [], datapath: 'nftables' });
  const wanted = [flag('mode', 'transparent'), flag('dnsproxy-enable-transparent-mode', 'true'), flag('pod-cidr', '10.244.1.7/24', 'fd00::1/64'), flag('packet-mark', '0x10')];
  t.match(parseSettings(wanted, facts).settings, { clientAddressUpstream: true, podCidrs: ['10.244.1.0/24', 'fd00::/64'], packetMark: 16 });
  const table: readonly [RawSetting[], RegExp][] = [
    [[flag('datapath', 'nftables')], /^--datapath nftables without --mode transparent/],
    [[flag('dnsproxy-enable-transparent-mode', 'true')], /without --mode transparent/],
    [[flag('pod-cidr', '10.0.0.0/8')], /--pod-cidr without --mode transparent/],
    [[flag('mode', 'transparent'), flag('upstream', '192.0.2.1:53')], /--upstream with --mode transparent/],
    [[flag('mode', 'transparent'), flag('datapath', 'none')], /--datapath none with --mode transparent/],
    [[flag('mode', 'transparent'), flag('listen', '0.0.0.0:53')], /needs an address of its own/],
    [[flag('mode', 'transparent'), flag('listen', '127.0.0.1:53', '127.0.0.2:53')], /one address of each family/],
  ];
  for (const [raws, message] of table) t.match(refusal(raws), { code: 'CONFIGURATION', message });
  for (const mark of ['3', '0', '0x10000000', 'x']) t.match(refusal([flag('packet-mark', mark)]), { code: 'USAGE', message: /a power of two from 0x1 to 0x8000000/ });
  for (const cidr of ['10.0.0.0', '10.0.0.0/33', 'x/8']) t.match(refusal([flag('pod-cidr', cidr)]), { code: 'USAGE', message: /a prefix such as/ });
  t.end();
});

t.test('each kind of value is read from its text', (t) => {
  const { settings } = parseSettings([
    flag('listen', '[::1]:5353', '127.0.0.1:5353,[0:0::1]:5353'),
    flag('slots', '64'),
    flag('policy-audit-mode', 'true'),
    inFile('tofqdns-proxy-response-max-delay', '1s500ms'),
    inFile('unknown-endpoint', 'allow'),
    flag('http-listen', '127.0.0.1:0'),
    flag('manifests', 'policies'),
    inFile('cluster-domain', 'K8s.Example.'),
    flag('search-domain', 'Corp.Example, b.test.', 'corp.example.'),
  ], facts);
  t.strictSame(settings.listen, [{ address: '::1', port: 5353, family: 6 }, { address: '127.0.0.1', port: 5353, family: 4 }], 'canonical, and each once');
  t.match(settings, { slots: 64, auditMode: true, responseMaxDelayMs: 1500, unknownEndpoint: 'allow', manifestsDir: 'policies', clusterDomain: 'k8s.example' });
  t.strictSame(settings.searchDomains, ['corp.example', 'b.test'], 'canonical, and each once');
  t.equal(settings.httpListen.port, 0);
  t.end();
});

t.test('a value out of range is refused with place, value and range', (t) => {
  const table: readonly [RawSetting, string, string][] = [
    [flag('metrics-cilium-prefix', '9_'), 'USAGE', '--metrics-cilium-prefix: "9_" is not allowed; allowed: 0 to 32 letters, digits and "_", no digit in front'],
    [flag('metrics-cilium-prefix', 'cilium.'), 'USAGE', '--metrics-cilium-prefix: "cilium." is not allowed'],
    [flag('slots', '63'), 'USAGE', '--slots: "63" is not allowed; allowed: 64 to 32767'],
    [flag('slots', '99999999999'), 'USAGE', '--slots: "99999999999" is not allowed; allowed: 64 to 32767'],
    [flag('slots', '1e3'), 'USAGE', '--slots: "1e3" is not allowed; allowed: 64 to 32767'],
    [flag('slots', '64', '65'), 'USAGE', '--slots: "64,65" is not allowed; allowed: one value'],
    [inFile('slots', '-1'), 'CONFIGURATION', 'tandem.yaml:7: slots: "-1" is not allowed; allowed: 64 to 32767'],
    [inFile('policy-port', '70000'), 'CONFIGURATION', 'tandem.yaml:7: policy-port: "70000" is not allowed; allowed: 1 to 65535'],
    [flag('upstream-ports', '512'), 'USAGE', '--upstream-ports: "512" is not allowed; allowed: 64 to 256'],
    [flag('unknown-endpoint', 'deny'), 'USAGE', '--unknown-endpoint: "deny" is not allowed; allowed: refuse, allow'],
    [flag('policy-audit-mode', 'maybe'), 'USAGE', '--policy-audit-mode: "maybe" is not allowed; allowed: true, false'],
    [flag('tofqdns-proxy-response-max-delay', '3s'), 'USAGE', '--tofqdns-proxy-response-max-delay: "3s" is not allowed; allowed: 0s to 2.5s'],
    [flag('tcp-idle-timeout', '10'), 'USAGE', '--tcp-idle-timeout: "10" is not allowed; allowed: 1s to 10m'],
    [flag('listen', 'localhost:53'), 'USAGE', '--listen: "localhost:53" is not allowed; allowed: an IP address with a port from 1 to 65535, such as 127.0.0.1:53 or [::1]:53'],
    [flag('listen', '127.0.0.1:0'), 'USAGE', '--listen: "127.0.0.1:0" is not allowed; allowed: an IP address with a port from 1 to 65535, such as 127.0.0.1:53 or [::1]:53'],
    [flag('listen', ''), 'USAGE', '--listen: "" is not allowed; allowed: an IP address with a port from 1 to 65535, such as 127.0.0.1:53 or [::1]:53'],
    [flag('run-dir', 'x'.repeat(81)), 'USAGE', `--run-dir: "${'x'.repeat(80)}…" is not allowed; allowed: 1 to 80 characters`],
    [flag('cluster-domain', 'a..b'), 'USAGE', '--cluster-domain: "a..b" is not allowed; allowed: a domain name of up to 253 characters, labels of letters, digits, "-" and "_"'],
    [flag('cluster-domain', '.'), 'USAGE', '--cluster-domain: "." is not allowed; allowed: a domain name of up to 253 characters, labels of letters, digits, "-" and "_"'],
    [flag('search-domain', 'a.test', 'b-.test'), 'USAGE', '--search-domain: "b-.test" is not allowed; allowed: a domain name of up to 253 characters, labels of letters, digits, "-" and "_"'],
    [flag('search-domain', ...Array.from({ length: 17 }, (_, i) => `d${i}`)), 'USAGE', '--search-domain: "d0,d1,d2,d3,d4,d5,d6,d7,d8,d9,d10,d11,d12,d13,d14,d15,d16" is not allowed; allowed: 1 to 16 domains, 2048 characters in all'],
    [inFile('search-domain', ...Array.from({ length: 10 }, (_, i) => `${`${'x'.repeat(62)}.`.repeat(3)}${'y'.repeat(60)}.d${i}`)), 'CONFIGURATION', 'allowed: 1 to 16 domains, 2048 characters in all'],
    [flag('node-name', 'a\nb'), 'USAGE', '--node-name: "a\\nb" is not allowed; allowed: 1 to 253 characters'],
  ];
  for (const [raw, code, message] of table) t.match(refusal([raw]), { code, message }, message);
  t.end();
});

t.test('one start shows all complaints', (t) => {
  t.equal(refusal([flag('slots', 'x'), flag('log-level', 'loud')]).message.split('\n').length, 2);
  t.end();
});

t.test('what was wrong before there were values is told with the rest, and the gravest gives the code', (t) => {
  const earlier = [{ code: 'CONFIGURATION', message: 'tandem.yaml:1: unknown' }] as const;
  const attempt = (raws: readonly RawSetting[], with_: Partial<SettingFacts> = {}) => () => parseSettings(raws, { ...facts, ...with_ }, earlier);
  t.throws(attempt([flag('slots', 'x')]), { code: 'USAGE', message: /^tandem\.yaml:1: unknown\n--slots: "x"/ });
  t.throws(attempt([], { resolver: null }), { message: /^tandem\.yaml:1: unknown$/ }, 'the upstream may stand in what could not be read');
  t.end();
});

t.test('settings that contradict each other or the host are refused', (t) => {
  t.match(refusal([flag('upstream', '127.0.0.1:10053')]), { code: 'CONFIGURATION', message: /^--upstream 127\.0\.0\.1:10053 is also a --listen address: queries would go in a circle$/ });
  t.match(refusal([flag('upstream-ports', '256'), flag('upstream', ...['1', '2', '3', '4'].map((n) => `192.0.2.${n}:53`))]), { code: 'CONFIGURATION', message: /need 1024 sockets/ });
  t.match(refusal([], { resolver: null }), { code: 'CONFIGURATION', message: /--upstream is missing/ });
  t.end();
});

t.test('the pair link over TCP needs all three certificate files, and the files need an address', (t) => {
  const [cert, key, ca] = ['cert', 'key', 'ca'].map((name) => flag(`pair-tls-${name}`, `/etc/tandem/${name}.pem`));
  const listen = flag('pair-listen', '192.0.2.1:9900');
  t.match(refusal([listen]), { code: 'CONFIGURATION', message: /^--pair-listen 192\.0\.2\.1:9900 needs --pair-tls-cert and --pair-tls-key and --pair-tls-ca: / });
  t.match(refusal([listen, cert, ca]), { code: 'CONFIGURATION', message: /^--pair-listen 192\.0\.2\.1:9900 needs --pair-tls-key: / });
  t.match(refusal([cert, key, ca]), { code: 'CONFIGURATION', message: /^--pair-tls-cert and --pair-tls-key and --pair-tls-ca without --pair-listen: / });
  t.match(parseSettings([listen, cert, key, ca], facts).settings, { pairListen: { address: '192.0.2.1', port: 9900 }, pairTlsKey: '/etc/tandem/key.pem', pairConnect: null });
  const proxy = { ...facts, role: 'dns-proxy' } as const;
  t.match(refusal([flag('pair-connect', '[2001:db8::1]:9900')], proxy), { message: /^--pair-connect \[2001:db8::1\]:9900 needs / });
  t.match(refusal([listen, cert, key, ca], proxy), { code: 'USAGE', message: /--pair-listen is a setting of agent/ });
  t.match(refusal([flag('pair-listen', '192.0.2.1:0'), cert, key, ca]), { code: 'USAGE', message: /port from 1 to 65535/ });
  t.match(parseSettings([flag('pair-connect', '192.0.2.1:9900'), cert, key, ca], proxy).settings, { pairConnect: { port: 9900 }, pairListen: null });
  t.end();
});

t.test('the Observer API listens in the run-dir, where else it is told, or nowhere', (t) => {
  const listen = (...raws: Parameters<typeof parseSettings>[0]): unknown => parseSettings(raws, facts).settings.hubbleListen;
  t.equal(listen(), `${facts.runDir}/agent-hubble.sock`);
  t.equal(listen(flag('run-dir', '/run/here')), '/run/here/agent-hubble.sock');
  t.equal(listen(flag('hubble-listen', 'unix:/run/x.sock')), '/run/x.sock');
  t.match(listen(flag('hubble-listen', '[::1]:4245')), { address: '::1', port: 4245, family: 6 });
  t.equal(listen(flag('hubble-listen', '')), null);
  t.end();
});

t.test('TLS of the Observer API is for its TCP port, and whole', (t) => {
  const [tcp, cert, key, ca] = [flag('hubble-listen', '192.0.2.1:4245'), flag('hubble-tls-cert-file', 'c.pem'), flag('hubble-tls-key-file', 'k.pem'), flag('hubble-tls-client-ca-files', 'one.pem,two.pem', 'three.pem')];
  const { settings } = parseSettings([tcp, cert, key, ca], facts);
  t.match(settings, { hubbleTlsCertFile: 'c.pem', hubbleTlsKeyFile: 'k.pem', hubbleTlsClientCaFiles: ['one.pem', 'two.pem', 'three.pem'] });
  t.strictSame(parseSettings([tcp], facts).settings.hubbleTlsClientCaFiles, []);
  t.match(refusal([cert, key]), { code: 'CONFIGURATION', message: /--hubble-tls-cert-file and --hubble-tls-key-file without an address in --hubble-listen/ });
  t.match(refusal([flag('hubble-listen', ''), ca]), { code: 'CONFIGURATION', message: /without an address/ });
  t.match(refusal([tcp, cert]), { code: 'CONFIGURATION', message: /--hubble-tls-cert-file without --hubble-tls-key-file: TLS needs both/ });
  t.match(refusal([tcp, ca]), { code: 'CONFIGURATION', message: /without --hubble-tls-cert-file and --hubble-tls-key-file/ });
  t.match(refusal([tcp, cert, key, flag('hubble-tls-client-ca-files', 'one.pem,')]), { code: 'USAGE', message: /1 to 4096 characters/ });
  t.match(refusal([tcp, cert, key, flag('hubble-tls-client-ca-files', Array.from({ length: 17 }, () => 'x').join())]), { code: 'USAGE', message: /1 to 16 files/ });
  t.end();
});

t.test('a --listen address that also stands for the upstream is a circle', (t) => {
  const circles: readonly [string, string][] = [
    ['0.0.0.0:5353', '127.0.0.1:5353'], ['0.0.0.0:5353', '127.9.9.9:5353'], ['0.0.0.0:5353', '198.51.100.7:5353'],
    ['[::]:5353', '[::1]:5353'], ['[::]:5353', '[2001:db8::7]:5353'], ['0.0.0.0:5353', '0.0.0.0:5353'],
    ['127.0.0.1:5353', '0.0.0.0:5353'], ['[::1]:5353', '[::]:5353'],
  ];
  for (const [listen, upstream] of circles) {
    t.match(refusal([flag('listen', '192.0.2.9:5353', listen), flag('upstream', upstream)]), { code: 'CONFIGURATION', message: /circle/ }, `${listen} ${upstream}`);
  }
  t.match(refusal([flag('listen', '0.0.0.0:53'), flag('upstream', '127.0.0.53:53')]).message, /^--upstream 127\.0\.0\.53:53 is answered by --listen 0\.0\.0\.0:53:/);
  const straight: readonly [string, string][] = [
    ['0.0.0.0:5353', '127.0.0.1:53'], ['0.0.0.0:5353', '192.0.2.53:5353'], ['0.0.0.0:5353', '[::1]:5353'], ['[::]:5353', '127.0.0.1:5353'],
    ['127.0.0.1:5353', '127.0.0.2:5353'], ['127.0.0.2:5353', '0.0.0.0:5353'],
  ];
  for (const [listen, upstream] of straight) t.ok(parseSettings([flag('listen', listen), flag('upstream', upstream)], facts), `${listen} ${upstream}`);
  t.end();
});

t.test('beside Cilium there is one source of policy, one datapath, and nobody from elsewhere', (t) => {
  const role = { role: 'dns-proxy' } as const;
  const beside = flag('cilium-agent', '127.0.0.1:10095');
  const refused: readonly [RawSetting[], Partial<SettingFacts>, RegExp][] = [
    [[flag('cilium-agent', '192.0.2.1:10095')], role, /^--cilium-agent 192\.0\.2\.1:10095 is no loopback address/],
    [[flag('standalone-dns-proxy-listen', '0.0.0.0:10095')], {}, /^--standalone-dns-proxy-listen 0\.0\.0\.0:10095 is no loopback address/],
    [[beside, flag('mode', 'transparent')], role, /--datapath nftables with --cilium-agent/],
    [[beside, flag('pair-connect', '192.0.2.1:1'), flag('pair-tls-cert', 'a'), flag('pair-tls-key', 'b'), flag('pair-tls-ca', 'c')], role, /--pair-connect with --cilium-agent/],
  ];
  for (const [raws, changes, message] of refused) t.match(refusal(raws, changes), { code: 'CONFIGURATION', message });
  t.match(refusal([beside]), { code: 'USAGE', message: /is a setting of dns-proxy, not of agent/ });
  t.match(parseSettings([beside, flag('mode', 'transparent'), flag('datapath', 'none')], { ...facts, ...role }).settings, {
    ciliumAgent: { address: '127.0.0.1', port: 10_095 }, standaloneProxyListen: null, upstreams: [],
  });
  t.match(parseSettings([flag('standalone-dns-proxy-listen', '[::1]:10095')], facts).settings, { standaloneProxyListen: { address: '::1' }, ciliumAgent: null });
  t.end();
});

t.test('one source says what the policy is', (t) => {
  t.match(refusal([flag('kubernetes', 'true'), flag('manifests', 'x')]), { code: 'USAGE', message: /^--kubernetes with --manifests/ });
  t.match(refusal([flag('kubeconfig', 'x')]), { code: 'USAGE', message: /^--kubeconfig without --kubernetes/ });
  t.match(refusal([flag('cluster-cidr', '10.0.0.0/8')]), { code: 'USAGE', message: /^--cluster-cidr without --kubernetes/ });
  t.match(parseSettings([flag('kubernetes', 'true'), flag('kubeconfig', 'x'), flag('cluster-cidr', '10.0.0.1/8')], facts).settings, { kubernetes: true, kubeconfig: 'x', clusterCidrs: ['10.0.0.0/8'] });
  t.match(parseSettings([inFile('kubernetes', 'true')], { ...facts, role: 'dns-proxy' }).settings, { kubernetes: false, kubeconfig: null, clusterCidrs: [] });
  t.end();
});

t.test('nonsense is refused for settings that do not act, too', (t) => {
  const table: readonly [string, string, string][] = [
    ['mode', 'weird', 'explicit, transparent'], ['kubernetes', 'maybe', 'true, false'], ['datapath', 'ebpf', 'none, nftables'],
    ['hubble-listen', 'nonsense', 'an IP address with a port from 1 to 65535, unix:PATH, or nothing at all'], ['hubble-listen', 'unix:', 'an IP address'],
    ['stale-source-limit', '-1', '0 to 31536000'], ['tofqdns-idle-connection-grace-period', '5', '0s to 24h'],
    ['dnsproxy-lock-timeout', 'banana', '0s to 24h'], ['dnsproxy-lock-count', 'many', '0 to 1000000'], ['tofqdns-proxy-port', '70000', '0 to 65535'],
    ['tofqdns-preallocate-identities', 'yes', 'true, false'], ['dnsproxy-socket-linger-timeout', '10s', '0 to 31536000'],
  ];
  for (const [name, text, allowed] of table) {
    t.match(refusal([flag(name, text)]), { code: 'USAGE', message: `--${name}: "${text}" is not allowed; allowed: ${allowed}` }, name);
    t.match(refusal([inFile(name, text)]), { code: 'CONFIGURATION' });
  }
  t.match(refusal([flag('dnsproxy-lock-count', '1', '2')]), { code: 'USAGE', message: /one value/ });
  parseSettings([flag('tofqdns-idle-connection-grace-period', '0'), flag('kubernetes', '0')], facts);
  t.end();
});

t.test("settings of Cilium's without an object here are accepted with a notice", (t) => {
  const { notices } = parseSettings([flag('dnsproxy-lock-count', '131'), inFile('tofqdns-proxy-port', '10094')], facts);
  t.equal(notices.length, 2);
  t.match(notices.join('\n'), /--dnsproxy-lock-count is accepted and changes nothing/);
  t.end();
});

t.test("the other role's setting is refused as a flag and ignored in a shared file or environment", (t) => {
  t.match(refusal([flag('manifests', 'x')], { role: 'dns-proxy' }), { code: 'USAGE', message: /a setting of agent/ });
  t.equal(parseSettings([inFile('manifests', 'x')], { ...facts, role: 'dns-proxy' }).settings.manifestsDir, null);
  t.end();
});

t.test('durations are read as Go writes them', (t) => {
  const table: readonly [string, number | null][] = [
    ['0', 0], ['0s', 0], ['100ms', 100], ['1s', 1000], ['1m30s', 90_000], ['1.5h', 5_400_000], ['250us', 0.25], ['3µs', 0.003],
    ['', null], ['1', null], ['s', null], ['-1s', null], ['1s ', null], ['1 s', null], ['1d', null], ['1.s', null], ['9999999999s', null],
  ];
  for (const [text, ms] of table) t.equal(parseDurationMs(text), ms, JSON.stringify(text));
  for (const ms of [0, 1, 100, 1000, 1500, 60_000, 600_000, 5_400_000, 86_400_000]) t.equal(parseDurationMs(durationText(ms)), ms);
  t.end();
});

t.test('every row is complete, and names are derived one way', (t) => {
  const names = SETTINGS.map((row) => row.name);
  t.equal(new Set(names).size, names.length, 'each name once');
  const fields = new Set(SETTINGS.flatMap((row) => row.field ?? []));
  t.strictSame([...fields, 'role'].sort(), Object.keys(parseSettings([], facts).settings).sort(), 'each field has a row');
  for (const row of SETTINGS) {
    t.match(row.name, /^[a-z]+(?:-[a-z]+)*$/, row.name);
    t.equal(flagOf(row), `--${row.name}`);
    t.match(environmentNameOf(row), /^TANDEM_[A-Z_]+$/);
    t.not(row.why, '', 'has a reason');
    t.not(rangeTextOf(row), '', `${row.name} has a range`);
    if (typeof row.default === 'function') t.not(defaultTextOf(row), '–', `${row.name} describes its default`);
  }
  t.end();
});

/** Real connections of a pod (veth, v4 and v6) through this namespace to a server behind another veth, one of them by DNAT. */
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { type EndpointRecord, type LiveConnection } from '@tandem/core';
import t from 'tap';
import { NO_LOG } from '../testing/kernel-test.js';
import { enterOwnNamespace, ip, otherNamespace, type OtherNamespace } from '../testing/namespace.js';
import { ConntrackSource } from './conntrack-source.js';
import { cutConnections, type TrackedFlow } from './cut-connections.js';

enterOwnNamespace();

const mark = 0x0800_0000;
const cutMark = mark / 4;
const ours = { mark, mask: mark };
const service = '10.96.0.1';
const server = '192.0.2.7';
const server6 = '2001:db8::7';
const podAddress = '10.1.0.5';
const podAddress6 = 'fd00:1::5';

const pods: OtherNamespace = await otherNamespace();
const outside: OtherNamespace = await otherNamespace();
t.teardown(() => {
  pods.close();
  outside.close();
});

function connect(space: OtherNamespace, link: string, addresses: readonly [string, string], gateways: readonly [string, string]): void {
  ip(`link add ${link} type veth peer name eth0 netns ${String(space.pid)}`);
  ip(`addr add ${gateways[0]}/24 dev ${link}`);
  ip(`addr add ${gateways[1]}/64 dev ${link} nodad`);
  ip(`link set ${link} up`);
  space.ip(`addr add ${addresses[0]}/24 dev eth0`);
  space.ip(`addr add ${addresses[1]}/64 dev eth0 nodad`);
  space.ip('link set eth0 up');
  space.ip(`route add default via ${gateways[0]}`);
  space.ip(`-6 route add default via ${gateways[1]}`);
}

for (const setting of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${setting}`, '1');
connect(pods, 'pod', [podAddress, podAddress6], ['10.1.0.1', 'fd00:1::1']);
connect(outside, 'out', [server, server6], ['192.0.2.1', '2001:db8::1']);

const nft = (script: string): void => void execFileSync('nft', ['-f', '-'], { input: script });
const rules = (forNew: string): void => {
  nft(`add table inet t
delete table inet t
table inet t {
  chain nat { type nat hook prerouting priority dstnat; ip daddr ${service} tcp dport 443 dnat ip to ${server}:8080; }
  chain forward { type filter hook forward priority filter
    ct mark and ${String(cutMark)} != 0 meta l4proto tcp reject with tcp reset
    ct state established,related accept
    ${forNew}
  }
}
`);
};
rules(`ct mark set ct mark or ${String(mark)} accept`);

class Program {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly said: AsyncIterator<string>;

  constructor(space: OtherNamespace, script: string) {
    this.child = spawn('nsenter', ['--net', '-t', String(space.pid), '--', process.execPath, '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    this.said = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async hear(): Promise<string> {
    return String((await this.said.next()).value);
  }

  say(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  async end(): Promise<void> {
    const gone = once(this.child, 'exit');
    this.child.stdin.end();
    await gone;
  }
}

/** Echoes, and says who came; goes when its input ends. */
const echo = (host: string, port: number): string => `
  require('node:net').createServer((s) => { s.on('error', () => {}); s.pipe(s); }).listen(${String(port)}, ${JSON.stringify(host)}, () => console.log('ready'));
  process.stdin.on('end', () => process.exit(0)).resume();`;
/** Connects, sends each line that it is given and says what came back, or the error. */
const client = (host: string, port: number): string => `
  const s = require('node:net').connect(${String(port)}, ${JSON.stringify(host)}, () => console.log('connected'));
  s.on('data', (d) => console.log(String(d).trim())).on('error', (e) => console.log(e.code));
  process.stdin.on('data', (d) => s.write(d)).on('end', () => process.exit(0));`;

const servers = [new Program(outside, echo('::', 8080)), new Program(pods, echo('::', 9090))];
// No assertion: after one, tap takes a wait outside of tests for the end.
for (const program of servers) if ((await program.hear()) !== 'ready') throw new Error('a server does not start');
t.teardown(async () => {
  for (const program of servers) await program.end();
});

const endpoint = (uid: string, ...addresses: readonly string[]): EndpointRecord =>
  ({ id: 1, uid, namespace: 'default', pod: uid, identity: 256, addresses, ruleSet: null });
const pass = (source: ConntrackSource): Promise<Iterable<LiveConnection>> =>
  new Promise((resolve) => {
    source.run(resolve);
    if (!source.isRunning) throw new Error('a pass that was begun is running');
  });
const pairs = (live: Iterable<LiveConnection>): readonly string[] => [...live].map(({ endpointUid, address }) => `${endpointUid} ${address}`).sort();

t.test('a pass tells with whom each endpoint has connections, by the address asked for and the one behind it', async (t) => {
  const clients = [new Program(pods, client(service, 443)), new Program(pods, client(server6, 8080)), new Program(outside, client(podAddress, 9090))];
  for (const one of clients) t.equal(await one.hear(), 'connected');
  const source = new ConntrackSource({ ...ours, log: NO_LOG });
  t.same(pairs(await pass(source)), [], 'no endpoint is known yet');
  source.setEndpoints([endpoint('web', podAddress, podAddress6)]);
  t.same(pairs(await pass(source)), [`web ${service}`, `web ${server}`, `web ${server6}`].sort(), 'not who connected to the pod');
  t.equal(source.isRunning, false);
  t.equal(source.problem, null);
  const others = new ConntrackSource({ mark: mark * 2, mask: mark * 2, log: NO_LOG });
  others.setEndpoints([endpoint('web', podAddress, podAddress6)]);
  t.same(pairs(await pass(others)), [], 'connections with another mark are not ours');
  for (const one of clients) await one.end();
});

t.test('what is no longer allowed is cut at once, both ways, and what is allowed goes on', async (t) => {
  const cut = new Program(pods, client(service, 443));
  const kept = new Program(pods, client(server6, 8080));
  const incoming = new Program(outside, client(podAddress, 9090));
  for (const one of [cut, kept, incoming]) t.equal(await one.hear(), 'connected');
  pods.exec('ping', '-c', '1', '-W', '2', server);
  rules('counter reject with tcp reset');
  for (const one of [cut, kept, incoming]) {
    one.say('before');
    t.equal(await one.hear(), 'before', 'an established connection is not judged by rules');
  }
  const judged: TrackedFlow[] = [];
  const result = await cutConnections({
    ...ours, cutMark,
    judge: (flow) => {
      judged.push(flow);
      return flow.destination === server6 ? 'unknown' : 'denied';
    },
    lookCloser: ({ destination }) => Promise.resolve(destination === server6),
  });
  t.equal(result.examined, judged.length);
  t.match(judged.find(({ destination }) => destination === service), { protocol: 6, source: podAddress, destinationPort: 443, backend: server, backendPort: 8080, icmpType: null });
  t.match(judged.find(({ protocol }) => protocol === 1), { source: podAddress, sourcePort: 0, destination: server, destinationPort: 0, backendPort: 0, icmpType: 8 });
  t.match(judged.find(({ source }) => source === server), { destination: podAddress, destinationPort: 9090, backend: podAddress });
  for (const one of [cut, kept, incoming]) one.say('after');
  t.equal(await cut.hear(), 'ECONNRESET');
  t.equal(await incoming.hear(), 'ECONNRESET');
  t.equal(await kept.hear(), 'after');
  t.ok(result.cut >= 3 && result.cut < result.examined, JSON.stringify(result));
  for (const one of [cut, kept, incoming]) await one.end();
});

t.test('a table that cannot be read is a problem that is said, and ends no pass', (t) => {
  const script = `
    import { ConntrackSource, cutConnections } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)};
    const words = [];
    const log = { info: (word) => words.push(word), warn: (word) => words.push(word) };
    const source = new ConntrackSource({ mark: 1, mask: 1, log });
    let finished = 0;
    for (let i = 0; i < 2; i++) {
      source.run(() => finished++);
      while (source.isRunning) await new Promise((resolve) => setImmediate(resolve));
    }
    const refused = await cutConnections({ mark: 1, mask: 1, cutMark: 2, judge: () => 'allowed', lookCloser: () => Promise.resolve(true) }).catch(({ code, message }) => ({ code, message }));
    console.log(JSON.stringify({ finished, problem: source.problem, words, refused }));`;
  const words = execFileSync('setpriv', ['--bounding-set=-all', '--inh-caps=-all', process.execPath, '--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const problem = 'the connection table cannot be read: EPERM';
  t.match(JSON.parse(words), { finished: 0, problem, words: [problem], refused: { code: 'UNAVAILABLE', message: /no longer allows go on: EPERM/ } });
  t.equal((JSON.parse(words) as { words: unknown[] }).words.length, 1, 'once');
  t.end();
});


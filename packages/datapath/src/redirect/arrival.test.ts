import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { bindSocket, closeFd, openSocket, Readable } from 'node-reuseport';
import t from 'tap';
import { LinkWatch } from '../links/index.js';
import { marksFrom } from '../names.js';
import { NO_LOG, staysAlive } from '../testing/kernel-test.js';
import { enterOwnNamespace, ip, otherNamespace } from '../testing/namespace.js';
import { InputCheck } from './input-check.js';
import { setUpDivert } from './divert.js';
import { Redirect } from './redirect.js';
import { checkBridgeRequirements, checkRequirements } from './requirements.js';

enterOwnNamespace();

// Neither a watch nor what waits for its words keeps a process alive.
staysAlive(t);

const PATIENCE_MS = 20_000;
const marks = marksFrom(0x0100_0000);
const MARK = `0x${marks.redirect.toString(16)}`;
const nft = (text: string): string => execFileSync('nft', ['-f', '-'], { input: text, encoding: 'utf8' });
const setting = (path: string, value: number): void => {
  writeFileSync(`/proc/sys/net/ipv4/conf/${path}`, String(value));
};

/** Whether what is sent arrives, at a socket that has nothing yet. */
async function arrivalOf(send: () => void): Promise<boolean> {
  const fd = openSocket({ type: 'udp', family: 4, transparent: true });
  bindSocket(fd, '127.0.0.153', 53);
  const words = new EventEmitter();
  const readable = new Readable(fd, () => {
    readable.close();
    words.emit('arrived');
  });
  try {
    const arrived = once(words, 'arrived', { signal: AbortSignal.timeout(PATIENCE_MS) });
    send();
    await arrived;
    return true;
  } catch {
    readable.close();
    return false;
  } finally {
    closeFd(fd);
  }
}

/** A pod on a veth, whose UDP to port 53 of anybody is given to a socket here. */
async function redirected() {
  const pod = await otherNamespace();
  ip(`link add v1 type veth peer name eth0 netns ${pod.pid}`);
  ip('link set v1 up');
  ip('address add 169.254.1.1/32 dev v1');
  ip('route add 10.1.0.1/32 dev v1');
  pod.ip('link set eth0 up');
  pod.ip('address add 10.1.0.1/32 dev eth0');
  pod.ip('route add 169.254.1.1/32 dev eth0');
  pod.ip('route add default via 169.254.1.1');
  const match = 'iifname v1 meta l4proto udp th dport 53';
  nft(`table ip lab { chain dns { type filter hook prerouting priority mangle; ${match} tproxy to 127.0.0.153:53 meta mark set ${MARK} accept; ${match} drop; }; }`);
  t.teardown(() => {
    pod.close();
  });
  const ask = (count: number): void => void pod.exec('bash', '-c', `for i in $(seq ${count}); do echo q >/dev/udp/10.96.0.10/53; done`);
  return { ask, arrives: () => arrivalOf(() => ask(1)) };
}

t.test('redirected DNS arrives where rp_filter is strict and looks at marks, and a firewall that drops it is named', async (t) => {
  const watch = await LinkWatch.start({ log: NO_LOG, onChange: () => undefined });
  const redirect = await Redirect.prepare({ log: NO_LOG, watch, marks, table: 10053, isTransparentUpstream: false });
  t.teardown(() => {
    redirect.close();
    watch.close();
  });
  const { ask, arrives } = await redirected();
  for (const name of ['all', 'default', 'v1']) {
    setting(`${name}/rp_filter`, 1);
    setting(`${name}/src_valid_mark`, 1);
  }
  await redirect.want({ ports: [{ first: 53, last: 53 }], isBridged: false });
  t.strictSame(redirect.problems(), []);
  t.ok(await arrives(), 'with rules of one port');
  await redirect.want({ ports: [{ first: 1, last: 65535 }], isBridged: false });
  t.ok(await arrives(), 'with rules of all ports');

  const fd = openSocket({ type: 'udp', family: 4, transparent: true });
  bindSocket(fd, '127.0.0.153', 53);
  t.teardown(() => {
    closeFd(fd);
  });
  const check = new InputCheck(marks.redirect);
  await check.look(true);
  await check.look(true);
  nft('table ip filter { chain INPUT { type filter hook input priority filter; policy drop; }; }');
  ask(5);
  await check.look(false);
  t.equal(check.found, `a firewall of this node drops redirected DNS (UDP over IPv4) in the hook input: chain INPUT of table ip filter, which drops by default. Have it accept packets with the mark ${MARK}/${MARK}`);
  ask(2);
  await check.look(false);
  t.ok(check.found, 'it is not forgotten while nothing passes');
  nft(`add rule ip filter INPUT meta mark & ${MARK} == ${MARK} accept`);
  ask(1);
  await check.look(false);
  t.equal(check.found, null, 'the remedy that it names is one');
});

t.test('what a bridge port sends into the pair arrives as routed traffic, where rp_filter is strict, too', async (t) => {
  for (const name of ['all', 'default']) {
    setting(`${name}/rp_filter`, 1);
    setting(`${name}/src_valid_mark`, 1);
  }
  const pod = await otherNamespace();
  t.teardown(() => {
    pod.close();
  });
  ip('link add br0 type bridge');
  ip('link set br0 up');
  ip('address add 10.2.0.1/24 dev br0');
  ip(`link add p1 type veth peer name eth0 netns ${pod.pid}`);
  ip('link set p1 master br0 up');
  pod.ip('link set eth0 up');
  pod.ip('address add 10.2.0.2/24 dev eth0');
  pod.ip('route add default via 10.2.0.1');
  const divert = await setUpDivert();
  nft(`table netdev lab { chain port { type filter hook ingress device "p1" priority filter; ip protocol udp ether daddr set ${divert.outerMac} fwd to "tandem1"; }; }
    table ip lab-bridged { chain dns { type filter hook prerouting priority mangle; iifname tandem0 meta l4proto udp tproxy to 127.0.0.153:53 meta mark set ${MARK} accept; }; }`);
  t.ok(await arrivalOf(() => void pod.exec('bash', '-c', 'echo q >/dev/udp/10.96.0.10/53')));
  ip('link del br0');
});

t.test('the kernel has what is needed, and trying it leaves nothing', async (t) => {
  await checkRequirements({ families: [4, 6], isTransparentUpstream: true });
  await checkBridgeRequirements();
  t.notMatch(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' }), 'probe');
});

t.test('without the privilege it is said what is needed', (t) => {
  const script = `import { checkRequirements } from ${JSON.stringify(new URL('requirements.js', import.meta.url).href)};
    await checkRequirements({ families: [4], isTransparentUpstream: false }).catch((error) => console.log(error.code, error.message));`;
  const said = execFileSync('setpriv', ['--bounding-set', '-all', '--inh-caps', '-all', process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' });
  t.match(said, /^UNAVAILABLE the datapath needs the capability CAP_NET_ADMIN: run as root, or give it/);
  t.end();
});

t.test('the pair for bridged pods is made when it is wanted, and again when it is gone', async (t) => {
  const changes = new EventEmitter();
  const watch = await LinkWatch.start({ log: NO_LOG, onChange: () => changes.emit('change') });
  const redirect = await Redirect.prepare({ log: NO_LOG, watch, marks, table: 10053, isTransparentUpstream: false });
  t.teardown(() => {
    redirect.close();
    watch.close();
  });
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await once(changes, 'change', { signal: AbortSignal.timeout(PATIENCE_MS) });
  };
  const wants = { ports: [{ first: 53, last: 53 }], isBridged: true };
  for (const what of ['made', 'made again']) {
    await redirect.want(wants);
    await until(() => redirect.divert() !== null);
    t.strictSame(redirect.problems(), [], what);
    t.equal(watch.nameOf(redirect.divert()!.outer), 'tandem0');
    ip('link del tandem1');
    await until(() => redirect.divert() === null);
  }
  ip('link add tandem0 type bridge');
  await until(() => watch.linkNamed('tandem0') !== null);
  await redirect.want(wants);
  t.match(redirect.problems(), [/there is a link with the name of tandem0 and tandem1/]);
});

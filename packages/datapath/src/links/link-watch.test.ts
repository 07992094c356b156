import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import type { EndpointRecord, Log, Place, Snapshot } from '@tandem/core';
import t from 'tap';
import { enterOwnNamespace, ip, otherNamespace } from '../testing/namespace.js';
import { LinkWatch } from './link-watch.js';

enterOwnNamespace();

const PATIENCE_MS = 20_000;
const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** A watch whose changes can be waited for. */
async function watched(addresses: readonly string[]) {
  const changes = new EventEmitter();
  const watch = await LinkWatch.start({ log: quiet, onChange: () => changes.emit('change') });
  watch.setAddresses(addresses);
  const until = async (isSo: () => boolean): Promise<void> => {
    // A watch does not keep its process alive; this does.
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const alive = setInterval(() => undefined, PATIENCE_MS);
    try {
      while (!isSo()) await once(changes, 'change', { signal });
    } finally {
      clearInterval(alive);
    }
  };
  return { watch, until };
}

const indexOf = (name: string): number => (JSON.parse(ip(`-j link show ${name}`)) as { ifindex: number }[])[0].ifindex;
const only = (places: readonly Place[]): Omit<Place, 'link'>[] => places.map(({ link: _link, ...rest }) => rest);

t.test('a pod on a veth of its own is seen where its host route leads, and gone at once with its link', async (t) => {
  ip('link add v1 type veth peer name c1');
  ip('link set v1 up');
  ip('route add 10.1.0.1/32 dev v1');
  const { watch, until } = await watched(['10.1.0.1', 'fd01::1']);
  t.teardown(() => watch.close());
  t.strictSame(only(watch.seen.get('10.1.0.1')), [{ interface: indexOf('v1') }], 'what was there before');
  ip('-6 route add fd01::1/128 dev v1');
  await until(() => watch.seen.get('fd01::1').length === 1);
  t.strictSame(only(watch.seen.get('fd01::1')), [{ interface: indexOf('v1') }]);
  t.equal(watch.nameOf(indexOf('v1')), 'v1');
  const index = indexOf('v1');
  ip('link del v1');
  await until(() => watch.seen.get('10.1.0.1').length === 0);
  t.strictSame(watch.seen.get('fd01::1'), []);
  t.equal(watch.nameOf(index), null);
});

t.test('a route that is replaced leads to one place, two routes to two', async (t) => {
  for (const name of ['v1', 'v2']) {
    ip(`link add ${name} type veth peer name ${name}c`);
    ip(`link set ${name} up`);
    t.teardown(() => ip(`link del ${name}`));
  }
  ip('route add 10.1.0.1/32 dev v1');
  const { watch, until } = await watched(['10.1.0.1']);
  t.teardown(() => watch.close());
  ip('route replace 10.1.0.1/32 dev v2');
  await until(() => watch.seen.get('10.1.0.1')[0]?.interface === indexOf('v2'));
  t.equal(watch.seen.get('10.1.0.1').length, 1);
  ip('route add 10.1.0.1/32 dev v1 metric 5');
  await until(() => watch.seen.get('10.1.0.1').length === 2);
  ip('link set v2 down');
  await until(() => watch.seen.get('10.1.0.1').length === 1);
  t.strictSame(only(watch.seen.get('10.1.0.1')), [{ interface: indexOf('v1') }], 'a link that is down takes its routes along, though nobody says so');
});

function pinned(at: EndpointRecord['at'], boot: string): Snapshot {
  const endpoint = { id: 1, uid: 'u', namespace: 'n', pod: 'p', identity: 256, addresses: ['10.1.0.1'], ruleSet: null, ...(at === undefined ? {} : { at }) };
  return { revision: 1, hash: '', nodeName: 'n', boot, endpoints: [endpoint], identities: [], services: [], ruleSets: [], fqdnSelectors: [], policies: [] };
}

t.test('a link that gets the index and the name of one before it is not that one', async (t) => {
  ip('link add v1 index 77 type veth peer name c1');
  ip('link set v1 up');
  ip('route add 10.1.0.1/32 dev v1');
  const { watch, until } = await watched(['10.1.0.1']);
  t.teardown(() => watch.close());
  const snapshot = pinned([{ address: '10.1.0.1', ...watch.seen.get('10.1.0.1')[0] }], watch.boot);
  t.equal(watch.standing(snapshot), snapshot);
  t.strictSame(watch.displaced(snapshot), []);
  ip('link del v1');
  await until(() => watch.nameOf(77) === null);
  t.strictSame(watch.standing(snapshot).endpoints[0].at, []);
  ip('link add v1 index 77 type veth peer name c1');
  t.teardown(() => ip('link del v1'));
  ip('link set v1 up');
  ip('route add 10.1.0.1/32 dev v1');
  await until(() => watch.seen.get('10.1.0.1').length === 1);
  t.strictSame(watch.standing(snapshot).endpoints[0].at, [], 'the place before does not stand');
  t.strictSame(watch.displaced(snapshot), ['10.1.0.1']);
  const { watch: later } = await watched(['10.1.0.1']);
  t.teardown(() => later.close());
  t.strictSame(later.standing(snapshot).endpoints[0].at, [], 'nor for one that saw nothing of it');
  t.strictSame(later.standing({ ...snapshot, boot: 'another' }).endpoints[0].at, []);
});

for (const [family, network, bits] of [[4, '10.2.0.', 24], [6, 'fd02::', 64]] as const) {
  t.test(`a pod behind a bridge is asked for, and seen by port and MAC: IPv${family}`, async (t) => {
    ip('link add br0 type bridge');
    t.teardown(() => ip('link del br0'));
    ip('link set br0 up');
    ip(`address add ${network}1/${bits} dev br0${family === 6 ? ' nodad' : ''}`);
    const pods: (Awaited<ReturnType<typeof otherNamespace>> & { port: number; mac: string })[] = [];
    // One after another: the first has the lower index.
    for (const number of [2, 3]) {
      const pod = await otherNamespace();
      t.teardown(() => pod.close());
      ip(`link add p${number} type veth peer name eth0 netns ${pod.pid}`);
      ip(`link set p${number} master br0 up`);
      pod.ip(`link set eth0 address 02:00:00:00:00:0${number}`);
      pod.ip('link set eth0 up');
      pods.push({ ...pod, port: indexOf(`p${number}`), mac: `02:00:00:00:00:0${number}` });
    }
    const noDad = family === 6 ? ' nodad' : '';
    const address = `${network}2`;
    pods[0].ip(`address add ${address}/${bits} dev eth0${noDad}`);
    const { watch, until } = await watched([address]);
    t.teardown(() => watch.close());
    await until(() => watch.seen.get(address).length > 0);
    const first = { interface: pods[0].port, mac: pods[0].mac, bridge: indexOf('br0') };
    t.strictSame(only(watch.seen.get(address)), [first], 'though it has not said anything');
    t.strictSame(watch.bridgePorts().map(({ name }) => name), ['p2', 'p3']);

    // Another takes its address while it is there.
    pods[1].ip(`address add ${address}/${bits} dev eth0${noDad}`);
    pods[0].ip(`address del ${address}/${bits} dev eth0`);
    ip(`neigh del ${address} dev br0`);
    pods[1].exec('ping', '-c', '1', '-W', '1', '-I', address, `${network}1`);
    await until(() => watch.seen.get(address).length === 2);
    t.strictSame(only(watch.seen.get(address)).map(({ interface: index }) => index), [pods[0].port, pods[1].port], 'the first is not forgotten');
    ip('link del p2');
    await until(() => watch.seen.get(address).length === 1);
    t.strictSame(only(watch.seen.get(address)), [{ interface: pods[1].port, mac: pods[1].mac, bridge: indexOf('br0') }]);
    ip('link set p3 nomaster');
    await until(() => watch.seen.get(address).length === 0);
  });
}

t.test('events that were lost are made up for', async (t) => {
  const { watch, until } = await watched(['10.1.9.9']);
  t.teardown(() => watch.close());
  ip('link add v1 type veth peer name c1');
  ip('link set v1 up');
  t.teardown(() => ip('link del v1'));
  await until(() => watch.linkNamed('v1')?.isUp === true);
  // Far more than the socket holds, in one turn of this thread.
  const lines = Array.from({ length: 60_000 }, (_, i) => `route add 10.${128 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}/32 dev v1`);
  execFileSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\nroute add 10.1.9.9/32 dev v1\n` });
  await until(() => watch.seen.get('10.1.9.9').length === 1);
  t.equal(watch.seen.get('10.128.200.7').length, 1);
  t.strictSame(watch.problems(), []);
});

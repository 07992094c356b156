/** The lab by itself, without Tandem: what its pods can reach, what its DNS servers say that they saw, and that nothing of it is left. */
import { existsSync } from 'node:fs';
import t from 'tap';
import { Lab, LABS_DIR } from './topology/lab.js';
import type { LabOptions } from './topology/lab.js';
import { namespacesOf } from './topology/namespaces.js';
import { CLIENT_V2, KUBE_DNS, NODES, podAddress } from './topology/plan.js';

const name = `t${String(process.pid)}`;
const base: LabOptions = { name, wiring: 'veth', nfCall: 1, nodes: NODES, family: 4, scenarios: ['1', '2', '4'] };

const setups: readonly { readonly title: string; readonly options: LabOptions }[] = [
  { title: 'veth, IPv4', options: base },
  { title: 'veth, IPv6, one node', options: { ...base, nodes: [1], family: 6 } },
  { title: 'bridge that calls iptables, IPv4', options: { ...base, wiring: 'bridge' } },
  { title: 'bridge that does not call iptables, IPv6', options: { ...base, wiring: 'bridge', nfCall: 0, family: 6 } },
];

for (const { title, options } of setups) {
  t.test(`${title}: pods reach names, Services and each other, and the DNS servers say who asked`, async (t) => {
    const lab = await Lab.held(options);
    t.teardown(() => Lab.down(name));
    const curl = async (pod: string, url: string): Promise<string> => (await lab.exec(pod, ['curl', `-${String(options.family)}`, '-sS', '-m', '5', url])).output.trim();
    const echo = options.family === 4 ? '172.17.0.2' : '2001:db8:17::2';
    for (const pod of ['net1', 'net3']) t.equal(await curl(pod, 'http://echo.k8s.intra'), `outside at ${echo} for ${lab.addressOf(pod)}`);
    t.match(await curl('net1', 'http://reviews'), /^reviews-v[123] at /);
    const served = new Set<string>();
    for (let i = 0; i < 30 && served.size < 3; i++) served.add((await curl('productpage', 'http://reviews.lab.svc.cluster.local')).split(' ')[0]);
    t.strictSame([...served].sort(), ['reviews-v1', 'reviews-v2', 'reviews-v3'], 'a Service has all its backends');
    t.match(await curl('net1', `http://${options.family === 4 ? lab.addressOf('details') : `[${lab.addressOf('details')}]`}`), /^details at /);

    await lab.exec('net1', ['dig', '+short', `@${lab.addressOf('kube-dns-a')}`, 'direct.k8s.intra']);
    t.match(lab.seenQueries(['kube-dns-a']).at(-1), { name: 'direct.k8s.intra.', type: 'A', from: lab.addressOf('net1') });
    t.ok(lab.seenQueries().some((query) => query.name === 'echo.k8s.intra.lab.svc.cluster.local.'), 'search domains are tried first, as in Kubernetes');
    t.strictSame(lab.dnsPods.filter((pod) => lab.seenQueries([pod]).length > 0).sort(), ['kube-dns-a', 'kube-dns-b'], 'both DNS servers are asked');

    await lab.setName({ name: 'echo.k8s.intra', ttlSeconds: 30, addresses: ['172.17.0.3', '2001:db8:17::3'] });
    t.equal(await curl('net1', 'http://echo.k8s.intra'), `outside at ${echo.replace(/2$/, '3')} for ${lab.addressOf('net1')}`, 'a record can change');
    const overTcp = await lab.exec('net1', ['dig', '+tcp', '+short', `@${lab.address(KUBE_DNS.address)}`, 'cnn.com', options.family === 4 ? 'A' : 'AAAA']);
    t.match(overTcp.output, options.family === 4 ? '198.51.100.40' : '2001:db8:17:100::40');
  });
}

t.test('a pod goes, and another gets its address on a link of the same name', async (t) => {
  for (const wiring of ['veth', 'bridge'] as const) {
    const lab = await Lab.held({ ...base, wiring });
    t.teardown(() => Lab.down(name));
    const before = Number(await lab.shell('node1', `cat /sys/class/net/${lab.pod('client-v1').link}/ifindex`));
    await lab.removePod('client-v1');
    await lab.addPod(CLIENT_V2);
    t.equal(lab.pod('client-v2').link, 'pod41');
    t.not(Number(await lab.shell('node1', 'cat /sys/class/net/pod41/ifindex')), before, `${wiring}: its index is another`);
    const { output } = await lab.exec('client-v2', ['curl', '-4', '-sS', '-m', '5', 'http://server-v2']);
    t.equal(output.trim(), `server-v2 at ${podAddress(lab.pod('server-v2').plan).v4} for ${podAddress(CLIENT_V2).v4}`);
  }
});

t.test('up twice is the same lab, two names are two labs, and down leaves nothing', async (t) => {
  const other = { ...base, name: `${name}b`, scenarios: ['3'] };
  t.teardown(() => Promise.all([Lab.down(name), Lab.down(other.name)]));
  const first = await Lab.held(base);
  const index = await first.shell('node1', 'cat /sys/class/net/pod11/ifindex');
  const [again] = await Promise.all([Lab.up(base), Lab.held(other)]);
  t.equal(await again.shell('node1', 'cat /sys/class/net/pod11/ifindex'), index);
  t.equal(await Lab.down(name), true);
  t.strictSame(namespacesOf(name), []);
  t.notOk(existsSync(`${LABS_DIR}/${name}`));
  t.match((await Lab.open(other.name).exec('crawler', ['curl', '-4', '-sS', 'http://google.com'])).output, 'outside at 198.51.100.10');
  t.equal(await Lab.down(name), false, 'there is nothing to take away');
});

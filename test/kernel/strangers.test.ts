/** Whose address a packet has is not enough: it must come from where that pod is. And what the tables do beside rules. */
import { traceConnection, L4_PROTOCOL, PolicyIndex } from '@tandem/core';
import t from 'tap';
import { cite, type Group } from '../conformance/case.js';
import { cnp, manifests, namesAtKubeDns, WORLD } from '../conformance/world.js';
import { Stage } from './conformance.js';
import { Rig, type Wiring } from './rig.js';

const WIRINGS: readonly Wiring[] = [{ kind: 'veth', nfCall: 0 }, { kind: 'bridge', nfCall: 0 }, { kind: 'bridge', nfCall: 1 }];
const OUTSIDE = '203.0.113.7';
const [WEB, CART, PROBE] = ['11.0.1.1', '11.0.1.2', '11.0.1.5'];

const at = cite('docs/decisions/datapath-program.md');
const group: Group = {
  name: 'strangers',
  manifests: manifests(
    WORLD,
    cnp('shop/web', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDR: [203.0.113.0/24]}, {toEndpoints: [{matchLabels: {app: cart}}]}, ${namesAtKubeDns('{matchPattern: "*"}')}]`),
    cnp('shop/cart', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]`),
  ),
  cases: [at.reaches('shop/web', OUTSIDE, 'tcp/80')],
};

for (const wiring of WIRINGS) {
  const where = `${wiring.kind}, bridge-nf-call-iptables ${wiring.nfCall}`;

  t.test(`a pod that takes another's address is refused, whatever that one may (${where})`, async (t) => {
    const rig = await Rig.start(wiring);
    t.teardown(() => { rig.close(); });
    const { snapshot } = await Stage.of(rig, group);
    const web = await rig.pod(snapshot.endpoints.find(({ addresses }) => addresses[0] === WEB)!.addresses);
    const cart = await rig.pod(snapshot.endpoints.find(({ addresses }) => addresses[0] === CART)!.addresses);
    const probe = await rig.pod(snapshot.endpoints.find(({ addresses }) => addresses[0] === PROBE)!.addresses);
    rig.own(rig.others, OUTSIDE);
    await rig.others.listen('tcp', OUTSIDE, 80);
    await cart.probe.listen('tcp', CART, 80);
    rig.enforce(rig.program(snapshot));
    const index = PolicyIndex.build(snapshot, null);
    t.equal(traceConnection(index, { from: 'shop/web', to: OUTSIDE, port: 80, protocol: L4_PROTOCOL.tcp, name: null }).verdict, 'allowed');
    t.equal(await web.probe.ask('tcp', { from: WEB, to: OUTSIDE, port: 80 }), 'ok');
    t.equal(await web.probe.ask('tcp', { from: WEB, to: CART, port: 80 }), 'ok');
    t.equal(await probe.probe.ask('tcp', { from: PROBE, to: CART, port: 80 }), 'refused', 'it is not web');

    // Another pod says that it is web.
    probe.probe.run(`ip address add ${WEB}/32 dev eth0`);
    for (const to of [OUTSIDE, CART]) t.not(await probe.probe.ask('tcp', { from: WEB, to, port: 80 }), 'ok', `a known pod with another's address: ${to}`);
    t.equal(await probe.probe.ask('tcp', { from: PROBE, to: OUTSIDE, port: 80 }), 'ok', 'with its own it may still');
    probe.probe.run('ip address add 198.51.100.99/32 dev eth0');
    t.not(await probe.probe.ask('tcp', { from: '198.51.100.99', to: OUTSIDE, port: 80 }), 'ok', 'an address that is nobody\'s');

    // It would say so to neighbours, too, and get what is for web: the more so when web is silent.
    const [, web6] = web.addresses;
    probe.probe.run(`ip address add ${web6}/128 dev eth0 nodad`);
    rig.own(rig.others, '2001:db8::7');
    web.probe.run('ip link set eth0 down');
    if (wiring.kind === 'bridge') {
      for (const [from, to] of [[OUTSIDE, WEB], ['2001:db8::7', web6]]) {
        rig.node.run('ip neigh flush dev br0');
        t.equal(await rig.others.ask('udp', { from, to, port: 80 }), 'none', `nobody answers at ${to}`);
        const known = JSON.parse(rig.node.run(`ip -j neigh show ${to} dev br0`)) as { lladdr?: string }[];
        t.strictSame(known.filter(({ lladdr }) => lladdr === probe.at[0].mac), [], `nobody else is believed to be ${to}`);
      }
    }

    // A new pod has inherited the address; routes lead to it.
    const heir = await rig.addPod([WEB]);
    t.teardown(() => { heir.probe.close(); });
    for (const to of [OUTSIDE, CART]) t.not(await heir.probe.ask('tcp', { from: WEB, to, port: 80 }), 'ok', `an heir: ${to}`);
    await heir.probe.listen('tcp', WEB, 80);
    t.not(await rig.others.ask('tcp', { from: OUTSIDE, to: WEB, port: 80 }), 'ok', 'nobody reaches it by that address');

    // The source names the new pod.
    const renewed = { ...snapshot, endpoints: snapshot.endpoints.map((one) => (one.addresses[0] === WEB ? { ...one, uid: 'heir', addresses: [WEB], at: heir.at } : one)) };
    rig.enforce(rig.program(renewed));
    t.equal(await heir.probe.ask('tcp', { from: WEB, to: OUTSIDE, port: 80 }), 'ok', 'then it is judged as itself');
  });

  t.test(`audit mode refuses nothing; without the tables nothing of ours is left (${where})`, async (t) => {
    const rig = await Rig.start(wiring);
    t.teardown(() => { rig.close(); });
    const { snapshot } = await Stage.of(rig, group);
    const web = await rig.pod(snapshot.endpoints.find(({ addresses }) => addresses[0] === WEB)!.addresses);
    rig.own(rig.others, '198.51.100.1');
    await rig.others.listen('tcp', '198.51.100.1', 80);
    const ask = () => web.probe.ask('tcp', { from: WEB, to: '198.51.100.1', port: 80 });
    rig.enforce(rig.program(snapshot));
    t.equal(await ask(), 'refused');
    rig.enforce(rig.program(snapshot, { auditMode: true }));
    t.equal(await ask(), 'ok');
  });

  t.test(`DNS of an enforced pod is dropped where no proxy is, also without its table (${where})`, async (t) => {
    const rig = await Rig.start(wiring);
    t.teardown(() => { rig.close(); });
    const { snapshot } = await Stage.of(rig, group);
    const web = await rig.pod(snapshot.endpoints.find(({ addresses }) => addresses[0] === WEB)!.addresses);
    rig.own(rig.others, OUTSIDE);
    for (const protocol of ['tcp', 'udp'] as const) {
      await rig.others.listen(protocol, OUTSIDE, 53);
      rig.enforce(rig.program(snapshot));
      t.not(await web.probe.ask(protocol, { from: WEB, to: OUTSIDE, port: 53 }), 'ok', `${protocol}: no socket`);
      rig.nft('flush table inet tandem\n');
      t.not(await web.probe.ask(protocol, { from: WEB, to: OUTSIDE, port: 53 }), 'ok', `${protocol}: table flushed`);
      rig.nft('delete table inet tandem\n');
      t.not(await web.probe.ask(protocol, { from: WEB, to: OUTSIDE, port: 53 }), 'ok', `${protocol}: table deleted`);
      rig.nft('delete table inet tandem-guard\n');
      t.equal(await web.probe.ask(protocol, { from: WEB, to: OUTSIDE, port: 53 }), 'ok', `${protocol}: it was the guard`);
    }
  });
}

/** What a pod with raw sockets can put on a bridge besides plain packets to one neighbour. */
import t from 'tap';
import { cite, type Group } from '../conformance/case.js';
import { cnp, manifests, namesAtKubeDns, WORLD } from '../conformance/world.js';
import { Stage } from './conformance.js';
import { Rig, type Pod, type Wiring } from './rig.js';
import type { Snapshot } from '@tandem/core';

const WIRINGS: readonly Wiring[] = [{ kind: 'bridge', nfCall: 0 }, { kind: 'bridge', nfCall: 1 }];
const OUTSIDE = '203.0.113.7';
const [WEB, CART, PROBE] = ['11.0.1.1', '11.0.1.2', '11.0.1.5'];
const [GROUP_4, GROUP_6] = ['239.1.2.3', 'ff0e::53'];

const at = cite('docs/decisions/datapath-program.md');
/** web may ask for names and connect outside; to cart may nobody but web; nothing selects probe. */
const group: Group = {
  name: 'frames',
  manifests: manifests(
    WORLD,
    cnp('shop/web', `
      endpointSelector: {matchLabels: {app: web}}
      egress: [{toCIDR: [203.0.113.0/24]}, ${namesAtKubeDns('{matchPattern: "*"}')}]`),
    cnp('shop/cart', `
      endpointSelector: {matchLabels: {app: cart}}
      ingress: [{fromEndpoints: [{matchLabels: {app: web}}]}]`),
  ),
  cases: [at.reaches('shop/web', OUTSIDE, 'tcp/80')],
};

async function podAt(rig: Rig, { endpoints }: Snapshot, address: string): Promise<Pod> {
  return await rig.pod(endpoints.find(({ addresses }) => addresses[0] === address)!.addresses);
}

for (const wiring of WIRINGS) {
  const where = `bridge-nf-call-iptables ${String(wiring.nfCall)}`;

  t.test(`a packet with a tag within a tag does not get past the rules (${where})`, async (t) => {
    const rig = await Rig.start(wiring);
    t.teardown(() => { rig.close(); });
    const { snapshot } = await Stage.of(rig, group);
    const [web, cart, probe] = [await podAt(rig, snapshot, WEB), await podAt(rig, snapshot, CART), await podAt(rig, snapshot, PROBE)];
    const [{ address: mac }] = JSON.parse(probe.probe.run('ip -j link show eth0')) as [{ address: string }];
    for (const tag of ['tagged', 'provider-tagged'] as const) {
      t.equal(await web.probe.askTagged(tag, { from: WEB, to: PROBE, mac }), 'ok', `${tag}: without the tables it arrives`);
    }
    rig.enforce(rig.program(snapshot));
    for (const tag of ['tagged', 'provider-tagged'] as const) {
      t.equal(await web.probe.askTagged(tag, { from: WEB, to: PROBE, mac }), 'none', `${tag}: with them it does not`);
      t.equal(await cart.probe.askTagged(tag, { from: CART, to: PROBE, mac }), 'none', `${tag}: nor from a pod whose egress no policy selects`);
    }
    const stranger = await rig.addPod(['11.0.1.77']);
    t.teardown(() => { stranger.probe.close(); });
    const bridgePorts = [stranger.at[0].interface];
    rig.enforce(rig.program(snapshot, { bridgePorts }));
    t.equal(await stranger.probe.askTagged('tagged', { from: WEB, to: PROBE, mac }), 'none', 'nor from a port where nobody is known');
  });

  t.test(`a packet to all, or to a group, is not from nor for pods that a policy selects (${where})`, async (t) => {
    const rig = await Rig.start(wiring);
    t.teardown(() => { rig.close(); });
    const { snapshot } = await Stage.of(rig, group);
    const [web, cart, probe] = [await podAt(rig, snapshot, WEB), await podAt(rig, snapshot, CART), await podAt(rig, snapshot, PROBE)];
    for (const { probe: one } of [web, cart, probe]) one.run('ip route add 239.0.0.0/8 dev eth0');
    const join = (who: Pod, verb: 'add' | 'del'): string => who.probe.run(`
      ip address ${verb} ${GROUP_4}/32 dev eth0 ${verb === 'add' ? 'autojoin' : ''}
      ip -6 address ${verb} ${GROUP_6}/128 dev eth0 ${verb === 'add' ? 'nodad autojoin' : ''}
    `);
    // Where the node's tables see what crosses a bridge, nobody is known to send from there.
    const passes = wiring.nfCall === 0 ? 'ok' : 'none';
    const send = (from: Pod, to: string) => from.probe.ask('sctp', { from: from.addresses[to === GROUP_4 ? 0 : 1], to, port: 53 });
    rig.enforce(rig.program(snapshot));
    join(probe, 'add');
    for (const to of [GROUP_4, GROUP_6]) {
      t.equal(await send(web, to), 'none', `web, whose egress is selected: ${to}`);
      t.equal(await send(cart, to), passes, `cart, whose ingress alone is: ${to}`);
    }
    join(probe, 'del');
    join(cart, 'add');
    for (const to of [GROUP_4, GROUP_6]) t.equal(await send(probe, to), 'none', `to cart, whose ingress is selected: ${to}`);
    rig.enforce(rig.program(snapshot, { auditMode: true }));
    for (const to of [GROUP_4, GROUP_6]) t.equal(await send(web, to), passes, `audit mode refuses nothing: ${to}`);
  });
}

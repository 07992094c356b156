/**
 * A DNS cache of the node's own, set up as NodeLocal DNSCache does it: at a link-local address and at that of the cluster's DNS Service, both on a link of the
 * node, and kept from being tracked.
 */
import t, { type Test } from 'tap';
import { startEnforced } from './enforced.js';
import { VETH } from './scenarios/run.js';
import type { Lab } from './topology/lab.js';
import { firstNames, KUBE_DNS } from './topology/plan.js';
import { namesPolicy } from './topology/policies.js';
import { type SeenQuery, seenBy, startDnsServer } from './topology/servers.js';
import type { Tandem } from './topology/tandem.js';

const DEADLINE_MS = 180_000;
const LOCAL = { v4: '169.254.20.10', v6: 'fd00:20::10' };
const NAMES = ['*.k8s.intra'];
const ALLOWED = 'echo.k8s.intra';
const DENIED = 'cnn.com';

const BY_LABELS = namesPolicy('net', { app: 'net' }, { dns: NAMES, reachable: NAMES }) as { readonly spec: { readonly egress: readonly object[] } };

/** The policy of `BY_LABELS` with a rule for the cache beside. */
function withRule(peer: object, rules: object): object {
  const rule = { ...peer, toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }], ...rules }] };
  return { ...BY_LABELS, spec: { ...BY_LABELS.spec, egress: [...BY_LABELS.spec.egress, rule] } };
}

const DNS = { rules: { dns: NAMES.map((matchPattern) => ({ matchPattern })) } };
const BY_CIDR = { toCIDR: [`${LOCAL.v4}/32`] };
const BY_LABEL = { toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' } }] };
const BY_ENTITY = { toEntities: ['host'] };

async function startCache(lab: Lab): Promise<{ readonly seenAt: (which: 'local' | 'service') => SeenQuery[] }> {
  const service = KUBE_DNS.address;
  await lab.shell('node1', `ip link add nodelocaldns type bridge
ip link set nodelocaldns up
${[LOCAL, service].map(({ v4, v6 }) => `ip address add ${v4}/32 dev nodelocaldns\nip address add ${v6}/128 dev nodelocaldns nodad`).join('\n')}
nft -f - <<'END'
table ip node-local-dns {
  set own { type ipv4_addr; elements = { ${LOCAL.v4}, ${service.v4} } }
  chain prerouting { type filter hook prerouting priority raw; ip daddr @own meta l4proto { tcp, udp } th dport 53 notrack; }
  chain output {
    type filter hook output priority raw;
    ip daddr @own meta l4proto { tcp, udp } th dport 53 notrack
    ip saddr @own meta l4proto { tcp, udp } th sport 53 notrack
  }
}
END`);
  const folders = { local: lab.folderOf('cache-local'), service: lab.folderOf('cache-service') };
  await startDnsServer(lab.node(1), folders.local, { own: LOCAL, names: firstNames() });
  await startDnsServer(lab.node(1), folders.service, { own: service, names: firstNames() });
  return { seenAt: (which) => seenBy(folders[which]) };
}

async function ask(lab: Lab, server: string, name: string, protocol: '+notcp' | '+tcp' = '+notcp'): Promise<string> {
  const { output } = await lab.exec('net1', ['dig', '+tries=1', '+time=3', protocol, `@${server}`, name]);
  return /status: (\w+)/.exec(output)?.[1] ?? 'no answer';
}

async function edited(lab: Lab, tandem: Tandem, policy: object): Promise<void> {
  const before = await tandem.revision();
  lab.apply('policy-net.json', policy);
  await tandem.enforced(before);
}

t.setTimeout(DEADLINE_MS);

t.test('a cache of the node is asked like any server, at either of its addresses', async (t: Test) => {
  const { lab, stage, tandem } = await startEnforced(t, { how: VETH[0], scenario: '1', policies: { 'policy-net.json': withRule(BY_CIDR, DNS) } });
  const { seenAt } = await startCache(lab);
  for (const [which, server] of [['local', LOCAL.v4], ['service', KUBE_DNS.address.v4]] as const) {
    for (const protocol of ['+notcp', '+tcp'] as const) {
      t.equal(await ask(lab, server, ALLOWED, protocol), 'NOERROR', `${server} ${protocol}`);
      t.equal(await ask(lab, server, DENIED, protocol), 'REFUSED', `${server} ${protocol}`);
    }
    t.ok(seenAt(which).some(({ name }) => name === `${ALLOWED}.`), 'the cache was asked');
    t.notOk(seenAt(which).some(({ name, from }) => name === `${DENIED}.` || from === lab.addressOf('net1')), 'by the pair alone, and not what is refused');
  }
  t.strictSame(lab.seenQueries(), [], 'no other server was asked');
  await stage.works('net1', `http://${ALLOWED}`);

  t.comment('what selects the link-local address, and what does not');
  await edited(lab, tandem, BY_LABELS);
  t.equal(await ask(lab, LOCAL.v4, ALLOWED), 'REFUSED', 'it is no pod of the DNS Service');
  await edited(lab, tandem, withRule(BY_ENTITY, DNS));
  t.equal(await ask(lab, LOCAL.v4, ALLOWED), 'REFUSED', 'for names it is an address outside of the cluster');
});

t.test('without rules for names it is asked directly, and is the host', async (t: Test) => {
  const open = (peer: object): object => ({ ...BY_LABELS, spec: { endpointSelector: { matchLabels: { app: 'net' } }, egress: [{ ...peer, toPorts: [{ ports: [{ port: '53', protocol: 'ANY' }] }] }] } });
  const { lab, tandem } = await startEnforced(t, { how: VETH[0], scenario: '1', policies: { 'policy-net.json': open(BY_ENTITY) } });
  const { seenAt } = await startCache(lab);
  for (const [which, server] of [['local', LOCAL.v4], ['service', KUBE_DNS.address.v4]] as const) {
    t.equal(await ask(lab, server, DENIED), 'NOERROR', server);
    t.ok(seenAt(which).some(({ from }) => from === lab.addressOf('net1')), 'by the pod itself');
  }
  await edited(lab, tandem, open(BY_CIDR));
  t.equal(await ask(lab, LOCAL.v4, DENIED), 'no answer', 'a prefix is nobody of this node');
  await edited(lab, tandem, open(BY_LABEL));
  t.equal(await ask(lab, KUBE_DNS.address.v4, DENIED), 'no answer', 'the Service\'s address is not translated to that of a pod');
});

/**
 * Connections as flows: what the kernel allowed and turned away, on both members, whichever of the two leads the datapath. Real packets in the
 * lab, read by `tandem observe`.
 */
import t from 'tap';
import { ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { Lab } from './topology/lab.js';
import { Tandem } from './topology/tandem.js';

const NAME = `f${String(process.pid)}`;
const POLICY = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: names, namespace: lab}
spec:
  endpointSelector: {matchLabels: {app: net}}
  egress:
  - toEndpoints: [{matchLabels: {"k8s:io.kubernetes.pod.namespace": kube-system, k8s-app: kube-dns}}]
    toPorts: [{ports: [{port: "53", protocol: ANY}, {port: "1053", protocol: ANY}], rules: {dns: [{matchPattern: "*"}]}}]
  - toFQDNs: [{matchName: echo.k8s.intra}]
    toPorts: [{ports: [{port: "80", protocol: TCP}]}]
`;
const POD = String.raw`lab/net1:\d+ \(ID:\d+\)`;
const ALLOWED = new RegExp(String.raw`${POD} -> echo\.k8s\.intra:80 \(world\) policy-verdict:L3-L4 EGRESS ALLOWED \(TCP Flags: SYN\)$`);
const SOON_MS = 5_000;

const lab = await Lab.held({ name: NAME, wiring: 'veth', nfCall: 1, nodes: [1], family: 4, scenarios: ['1'] });
t.teardown(() => Lab.down(NAME));
const tandem = await Tandem.start(lab, 1);
const before = await tandem.revision();
lab.apply('names.yaml', POLICY);
await tandem.enforced(before);

const curl = async (url: string): Promise<number | null> => (await lab.exec('net1', ['curl', '-4', '-sS', '-m', '5', '-o', '/dev/null', url])).code;

// The kernel has it a moment after the members do.
await until('the policy to be in the kernel', SOON_MS, async () => ((await curl('http://google.com')) === 0 ? null : true));

/** Lines about connections, the newest last, without their times. */
async function lines(role: Role): Promise<string[]> {
  const { code, output, standardOutput } = await tandem.cli('observe', '--member', role, '--last', '1000', '--pod', 'lab/net1', '--type', 'policy-verdict', '--type', 'drop');
  if (code !== 0) throw new Error(`tandem observe: ${output}`);
  return standardOutput.split('\n').filter((line) => line !== '').map((line) => line.replace(/^\w+ +\d+ [\d:.]+: /, ''));
}

async function untilLine(role: Role, pattern: RegExp): Promise<string[]> {
  return until(`a flow at ${role}: ${String(pattern)}`, SOON_MS, async () => {
    const all = await lines(role);
    return all.some((line) => pattern.test(line)) ? all : null;
  });
}

/** What a connection to a name that no rule allows makes, in this order. */
function deniedTo(name: string): RegExp[] {
  const start = String.raw`${POD} -> ${name.replaceAll('.', '\\.')}:80 \(world\)`;
  return [new RegExp(String.raw`${start} policy-verdict:none EGRESS DENIED \(TCP Flags: SYN\)$`), new RegExp(String.raw`${start} Policy denied DROPPED \(TCP Flags: SYN\)$`)];
}

t.test('the first packet of a connection, allowed or denied, is told by both members in the words of Hubble\'s client', async (t) => {
  t.equal(await curl('http://echo.k8s.intra'), 0);
  t.not(await curl('http://cnn.com'), 0);
  for (const role of ROLES) {
    const all = await untilLine(role, deniedTo('cnn.com')[1]);
    t.equal(all.filter((line) => ALLOWED.test(line)).length, 1, `${role}: one for the connection, not for its other packets`);
    const at = all.findIndex((line) => deniedTo('cnn.com')[0].test(line));
    t.match(all[at + 1], deniedTo('cnn.com')[1], 'the verdict, then the drop');
  }
});

t.test('a flow of a connection is found by the name of its end, and names its policy', async (t) => {
  const flows = await tandem.cli('observe', '--to-fqdn', 'echo.*', '--last', '1', '-o', 'json');
  const { flow } = JSON.parse(flows.standardOutput.split('\n')[0]) as { flow: Record<string, unknown> };
  t.match(flow, {
    Type: 'L3_L4', verdict: 'FORWARDED', destination_names: ['echo.k8s.intra'], policy_match_type: 2, traffic_direction: 'EGRESS', node_name: 'node-1', is_reply: false,
    source: { namespace: 'lab', pod_name: 'net1' }, egress_allowed_by: [{ name: 'names', namespace: 'lab' }], l4: { TCP: { destination_port: 80, flags: { SYN: true } } },
  });
});

t.test('while the agent hangs, the DNS proxy reads what the kernel logs; the agent tells it, too, when it is back', async (t) => {
  const agentPid = await tandem.pid('agent');
  process.kill(agentPid, 'SIGSTOP');
  t.teardown(() => process.kill(agentPid, 'SIGCONT'));
  // Until the other has taken over, the kernel logs to the one that hangs.
  const took = await until('the DNS proxy to lead', 15_000, async () => {
    await curl('http://bbc.co.uk');
    return (await lines('dns-proxy')).some((line) => deniedTo('bbc.co.uk')[1].test(line)) ? true : null;
  });
  t.ok(took);
  t.equal(await curl('http://echo.k8s.intra'), 0);
  await until('the allowed one', SOON_MS, async () => ((await lines('dns-proxy')).filter((line) => ALLOWED.test(line)).length === 2 ? true : null));
  process.kill(agentPid, 'SIGCONT');
  await until('the agent to tell it', SOON_MS, async () => ((await lines('agent')).filter((line) => ALLOWED.test(line)).length === 2 ? true : null));
});

t.test('when the agent is dead, and when it is back, the outage\'s connections are told', async () => {
  await tandem.end('agent', 'SIGKILL');
  await until('the DNS proxy to lead', 15_000, async () => {
    await curl('http://ifconfig.me');
    return (await lines('dns-proxy')).some((line) => deniedTo('ifconfig.me')[1].test(line)) ? true : null;
  });
  tandem.launch('agent');
  await tandem.ready('agent');
  await untilLine('agent', deniedTo('ifconfig.me')[1]);
});

/** Scenario 4 with a real API server, cut off by nftables: the pod that inherits an address. See also test/lab/scenarios/four.ts. */
import { writeFileSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import t from 'tap';
import { render } from '../deploy/kubectl/kubectl.js';
import { until } from '../harness/until.js';
import { examplePolicy, labOptions, Stage } from '../lab/scenarios/stage.js';
import { Telling } from '../lab/scenarios/telling.js';
import { Lab } from '../lab/topology/lab.js';
import { CLIENT_V2, podAddress, ROUTER, SERVICES } from '../lab/topology/plan.js';
import type { PodPlan } from '../lab/topology/plan.js';
import { Tandem, TRANSPARENT } from '../lab/topology/tandem.js';
import { SERVICE_ACCOUNT } from './agent-stage.js';
import { Cluster } from './cluster/cluster.js';
import { cutOff, join } from './cut.js';
import { LabObjects } from './lab-objects.js';

const TRIES = 10;
/** Of the middle one of all tries. */
const JUDGED_MS = 1_000;
/** Where the agent knew the server to be away it looks for it every half second; the machine may do much else. */
const JUDGED_AFTER_LONG_MS = 2_500;
/** A cut without a word is seen by the kernel's probes. */
const NOTICED_MS = 60_000;
const DEADLINE_MS = 30_000;
const STALE_SECONDS = 2;
type Version = 'v1' | 'v2';

const lab = await Lab.held(labOptions(`q${String(process.pid)}`, '4'));
t.teardown(() => Lab.down(lab.options.name));
const cluster = await Cluster.start({ address: ROUTER.v4, prefix: ['ip', 'netns', 'exec', lab.internet] });
t.teardown(() => cluster.stop());
const objects = new LabObjects(cluster.api, lab);
const stage = new Stage(lab, new Telling(() => undefined));
const base = render('overlays/standalone', ['no-surge']).filter(({ kind }) => kind !== 'DaemonSet');
for (const kinds of [['CustomResourceDefinition', 'Namespace'], ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding']]) await cluster.apply(...base.filter(({ kind }) => kinds.includes(kind)));
await cluster.kubectlOk('wait', '--for=condition=Established', '--timeout=60s', 'crd/ciliumnetworkpolicies.cilium.io');
await objects.tell();
const policy = pathOf(cluster.folder, 'policy.yaml');
writeFileSync(policy, examplePolicy('scenario-inherited-address'));
await cluster.kubectlOk('apply', '-f', policy);
const source = ['--kubernetes', '--kubeconfig', await cluster.kubeconfigOf(SERVICE_ACCOUNT.namespace, SERVICE_ACCOUNT.name)];

function nameOf(version: Version): string {
  return `server-${version}.lab.svc.cluster.local`;
}

function other(version: Version): Version {
  return version === 'v1' ? 'v2' : 'v1';
}

async function judgedAs(pod: string, version: Version): Promise<number> {
  const started = performance.now();
  await until(`${pod} to be judged as client-${version}`, DEADLINE_MS, async () => ((await stage.lookUp(pod, nameOf(version))).status === 'NOERROR' ? true : null));
  return performance.now() - started;
}

async function isAway(tandem: Tandem): Promise<boolean> {
  return (await tandem.metric('agent', 'source_away')) === 1;
}

/** The next pod to have the address: of the other version than the one before. */
function heir(time: number, version: Version): PodPlan {
  return { ...CLIENT_V2, name: `heir${String(time)}`, labels: { app: 'client', version }, uid: `5eed0000-0000-4000-9000-${time.toString(16).padStart(12, '0')}` };
}

t.test('the address is inherited while the node is cut off: refused, then judged as itself', async (t) => {
  const tandem = await Tandem.start(lab, 1, TRANSPARENT, source);
  t.teardown(() => tandem.stop());
  await judgedAs('client-v1', 'v1');
  t.equal((await stage.lookUp('client-v1', nameOf('v2'))).status, 'REFUSED');
  let before = { name: 'client-v1', version: 'v1' as Version };
  const returns: number[] = [];
  for (let time = 0; time < TRIES; time++) {
    const version = other(before.version);
    const pod = heir(time, version);
    const { link } = lab.pod(before.name);
    await cutOff(lab, 1, cluster);
    // Once for long enough that the agent knows of it.
    if (time === 0) await until('the agent to notice', NOTICED_MS, async () => ((await isAway(tandem)) ? true : null));
    await lab.removePod(before.name);
    await lab.addPod(pod, time % 2 === 0 ? `heir${String(time)}` : link);
    await objects.tell();
    const service = SERVICES.find(({ name }) => name === `server-${before.version}`)!;
    const [first, second, overTcp, connection] = await Promise.all([
      stage.lookUp(pod.name, nameOf(before.version)), stage.lookUp(pod.name, nameOf(version)), stage.lookUp(pod.name, nameOf(before.version), ['+tcp']),
      stage.curlAt(pod.name, 'server', stage.address(service.address)),
    ]);
    t.strictSame([first.status, second.status, overTcp.status, connection.reached], ['REFUSED', 'REFUSED', 'REFUSED', 'refused'], `try ${String(time)}: neither as the one before nor as itself`);
    await join(lab, 1, cluster);
    returns.push(await judgedAs(pod.name, version));
    before = { name: pod.name, version };
  }
  t.comment(`judged as itself after the cut: ${returns.map((ms) => ms.toFixed(0)).join(', ')} ms; the first was noticed by the agent`);
  t.ok(returns[0] <= JUDGED_AFTER_LONG_MS, 'soon after the return of a server that was known to be away');
  t.ok(returns.toSorted((a, b) => a - b)[Math.floor(TRIES / 2)] <= JUDGED_MS, 'and within a second, the middle one of all');
  const flows = await stage.flows(tandem, '--from-ip', stage.address(podAddress(CLIENT_V2)), '--verdict', 'DROPPED');
  for (const kind of ['L7', 'L3_L4']) t.ok(flows.some((flow) => flow.Type === kind && JSON.stringify(flow).includes('IDENTITY_STALE')), `a dropped ${kind} flow says IDENTITY_STALE`);
  t.strictSame(stage.nothingPast(stage.address(podAddress(CLIENT_V2))), { seen: 'none', isSo: true }, 'no query went past the node');
});

async function reaches(pod: string, version: Version, wanted: 'works' | 'refused'): Promise<void> {
  const server = `server-${version}`;
  await until(`${pod} to ${server}: ${wanted}`, DEADLINE_MS, async () => ((await stage.curlAt(pod, server, lab.addressOf(server))).reached === wanted ? true : null));
}

/** The pod on the other node is replaced by one of another version at its address, of which node 1 hears nothing. */
async function replaceRemote(pod: string, version: Version, tandem: Tandem): Promise<string> {
  const { plan } = lab.pod(pod);
  const name = `remote-heir-${version}`;
  await cutOff(lab, 1, cluster);
  await until('the agent to notice', NOTICED_MS, async () => ((await isAway(tandem)) ? true : null));
  await lab.removePod(pod);
  await lab.addPod({ ...plan, name, labels: { app: 'client', version }, uid: `5eed0000-0000-4000-a000-00000000000${version.slice(1)}` });
  await objects.tell();
  return name;
}

t.test('on another node: without a limit grants live on', async (t) => {
  const tandem = await Tandem.start(lab, 1, TRANSPARENT, source);
  t.teardown(() => tandem.stop());
  await reaches('remote-v1', 'v1', 'works');
  await reaches('remote-v1', 'v2', 'refused');
  const second = await replaceRemote('remote-v1', 'v2', tandem);
  await reaches(second, 'v1', 'works');
  await join(lab, 1, cluster);
  await reaches(second, 'v2', 'works');
  await reaches(second, 'v1', 'refused');
  t.pass('an outage cuts nobody off, and afterwards it is judged as itself');
});

t.test('with --stale-source-limit they lapse', async (t) => {
  const tandem = await Tandem.start(lab, 1, [...TRANSPARENT, '--stale-source-limit', String(STALE_SECONDS)], source);
  t.teardown(() => tandem.stop());
  await reaches('remote-heir-v2', 'v2', 'works');
  const third = await replaceRemote('remote-heir-v2', 'v1', tandem);
  await reaches(third, 'v2', 'refused');
  await reaches(third, 'v1', 'refused');
  await until('a flow that says so', DEADLINE_MS, async () => {
    const flows = await stage.flows(tandem, '--from-ip', lab.addressOf(third), '--verdict', 'DROPPED');
    return flows.some((flow) => flow.source.labels?.includes('tandem:stale-source')) ? true : null;
  });
  await join(lab, 1, cluster);
  await reaches(third, 'v1', 'works');
  await reaches(third, 'v2', 'refused');
  t.pass('fail closed, flows say so, and back again');
});

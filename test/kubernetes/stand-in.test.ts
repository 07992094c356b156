/** The node stand-in: DaemonSets become processes, which are replaced, restarted and ended as a kubelet would. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { baseManifests, CLIENT_A } from '../harness/manifests.js';
import { formatServer, ROLES } from '../harness/pair.js';
import type { Role } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { Upstream } from '../harness/upstream.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { UdpClient } from '../harness/clients.js';
import { Cluster } from './cluster/cluster.js';
import { base, daemonSet, NAMESPACE, NODE_NAME } from './node/fixture.js';
import type { LoopbackOptions } from './node/fixture.js';
import { imagesOf } from './node/images.js';
import { isReady } from './node/objects.js';
import type { ListOf, Pod } from './node/objects.js';
import { StandIn } from './node/stand-in.js';

const DEADLINE_MS = 60_000;
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;

let cluster: Cluster;
let standIn: StandIn;
let options: LoopbackOptions;
let folder: string;

t.before(async () => {
  cluster = await Cluster.start();
  folder = join(cluster.folder, NODE_NAME);
  const manifests = join(cluster.folder, 'manifests');
  mkdirSync(manifests);
  for (const [file, content] of Object.entries(baseManifests(ownAddress))) writeFileSync(join(manifests, file), JSON.stringify(content));
  const upstream = await Upstream.start(ownAddress, 0, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
  t.teardown(() => upstream.close());
  const at = (): { address: string; port: number } => ({ address: ownAddress, port: ownPort() });
  options = { listen: at(), upstream, http: { agent: at(), 'dns-proxy': at() }, manifests, tag: 'one' };
  const hosts = [{ name: NODE_NAME, folder, address: ownAddress, prefix: [] }];
  standIn = await StandIn.start({ access: cluster.adminAccess, namespace: NAMESPACE, hosts, images: imagesOf({ one: undefined, two: undefined }) });
  await cluster.apply(...base(), ...ROLES.map((role) => daemonSet(role, options)));
});
t.teardown(async () => {
  await standIn.stop();
  await cluster.stop();
});

async function podsOf(role: Role): Promise<readonly Pod[]> {
  const { items } = await cluster.api.call<ListOf<Pod>>('GET', `${PODS}?labelSelector=${encodeURIComponent(`app.kubernetes.io/name=tandem-${role}`)}`);
  return items;
}

function rolledOut(role: Role): Promise<string> {
  return cluster.kubectlOk('rollout', 'status', `daemonset/tandem-${role}`, '-n', NAMESPACE, '--timeout=60s');
}

function setImage(role: Role, tag: string): Promise<string> {
  return cluster.kubectlOk('set', 'image', `daemonset/tandem-${role}`, `${role}=tandem-${role}:${tag}`, '-n', NAMESPACE);
}

async function rcode(name: string): Promise<number> {
  const client = await UdpClient.open(CLIENT_A, options.listen);
  try {
    return readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode;
  } finally {
    client.close();
  }
}

function logOf(pod: string, role: Role): string {
  return readFileSync(join(folder, 'logs', `${pod}.${role}.log`), 'utf8');
}

t.test('both members run, are ready, and have their mounts and configuration', async (t) => {
  for (const role of ROLES) await rolledOut(role);
  t.equal(await rcode('www.a.test'), RCODE.noError);
  t.equal(await rcode('www.b.test'), RCODE.refused);
  t.ok(existsSync(join(folder, 'run/tandem/pair.sock')), 'the run-dir is a folder of the host');
  t.ok(readdirSync(join(folder, 'var/lib/tandem')).length > 0, 'and so is the state-dir');
  const nodes = await cluster.kubectlOk('get', 'nodes');
  t.match(nodes, /node-1 +Ready/);
});

t.test('an update drains the old process and starts the new one', async (t) => {
  const [before] = await podsOf('agent');
  await setImage('agent', 'two');
  await rolledOut('agent');
  const [after] = await podsOf('agent');
  t.not(after.metadata.uid, before.metadata.uid);
  t.equal(after.spec.containers[0].image, 'tandem-agent:two');
  t.match(logOf(before.metadata.name, 'agent'), 'ended with {"code":0,"signal":null}', 'it drained');
});

t.test('an image that is not there: the old pod goes, none is ready, the peer answers', async (t) => {
  await setImage('agent', 'none');
  await until('the pod that waits', DEADLINE_MS, async () => {
    const [pod] = await podsOf('agent');
    return JSON.stringify(pod.status ?? {}).includes('ImagePullBackOff') ? true : null;
  });
  t.equal(await rcode('new.a.test'), RCODE.noError);
  t.equal(await rcode('new.b.test'), RCODE.refused);
  await setImage('agent', 'one');
  await rolledOut('agent');
});

t.test('a process that is killed starts again in its pod; a pod that is deleted is made anew', async (t) => {
  const [pod] = await podsOf('dns-proxy');
  const status = await fetch(`http://${formatServer(options.http['dns-proxy'])}/api/v1/status`);
  process.kill(((await status.json()) as { readonly pid: number }).pid, 'SIGKILL');
  const restarted = await until('its restart', DEADLINE_MS, async () => {
    const [now] = await podsOf('dns-proxy');
    return JSON.stringify(now.status).includes('"restartCount":1') && isReady(now) ? now : null;
  });
  t.equal(restarted.metadata.uid, pod.metadata.uid);
  await cluster.kubectlOk('delete', 'pod', pod.metadata.name, '-n', NAMESPACE);
  await rolledOut('dns-proxy');
  const [next] = await podsOf('dns-proxy');
  t.not(next.metadata.uid, pod.metadata.uid);
});

t.test('with surge the successor starts beside its predecessor', async (t) => {
  await cluster.kubectlOk('annotate', 'daemonset/tandem-dns-proxy', 'tandem.test/max-surge=1', '-n', NAMESPACE);
  const [before] = await podsOf('dns-proxy');
  await setImage('dns-proxy', 'two');
  await until('two pods of it', DEADLINE_MS, async () => ((await podsOf('dns-proxy')).length === 2 ? true : null));
  await rolledOut('dns-proxy');
  await until('the end of the old one', DEADLINE_MS, async () => ((await podsOf('dns-proxy')).every(({ metadata }) => metadata.uid !== before.metadata.uid) ? true : null));
  t.equal(await rcode('www.a.test'), RCODE.noError);
});

/** Scenario 4: the pod that inherits an address. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PodPlan } from '../topology/plan.js';
import { CLIENT_V2, podAddress, SERVICES } from '../topology/plan.js';
import { Tandem, TRANSPARENT } from '../topology/tandem.js';
import { examplePolicy, finding, SOON_MS } from './stage.js';
import type { Stage } from './stage.js';

const TRIES = 100;
const JUDGED_MS = 1_000;
/** For what is not judged by its time. */
const SETTLED_MS = 15_000;
const STALE_SECONDS = 2;
type Version = 'v1' | 'v2';

function nameOf(version: Version): string {
  return `server-${version}.lab.svc.cluster.local`;
}

function other(version: Version): Version {
  return version === 'v1' ? 'v2' : 'v1';
}

export async function inheritedAddress(stage: Stage): Promise<void> {
  const { lab } = stage;
  lab.apply('policy-versions.yaml', examplePolicy('scenario-inherited-address'));
  const here = await Tandem.start(lab, 1);
  await known(stage);
  await inherited(stage, here);
  await sourceIsBack(stage);
  await hundredTries(stage);
  await fromAnotherNode(stage, here);
  stage.tell.step('What the DNS servers say');
  stage.tell.expect('no query of a pod came to a DNS server from the pod itself', stage.nothingPast(stage.address(podAddress(CLIENT_V2))));
}

function serverAt(stage: Stage, version: Version): string {
  return stage.address(SERVICES.find((service) => service.name === `server-${version}`)!.address);
}

async function mayCall(stage: Stage, pod: string, version: Version): Promise<void> {
  await stage.works(pod, `http://server-${version}`);
  await stage.answers(pod, nameOf(other(version)), 'REFUSED');
  await stage.isDeniedAt(pod, `server-${other(version)}`, serverAt(stage, other(version)));
}

async function known(stage: Stage): Promise<void> {
  stage.tell.step('1. client-v1 may call server-v1 only');
  await mayCall(stage, 'client-v1', 'v1');
}

async function inherited(stage: Stage, here: Tandem): Promise<void> {
  const { lab, tell } = stage;
  tell.step('2. The source is cut off; client-v1 is deleted, and a pod client-v2 gets its address on a new interface');
  lab.frozen.add(1);
  await lab.removePod('client-v1');
  await lab.addPod(CLIENT_V2, 'fresh0');
  for (const version of ['v1', 'v2'] as const) {
    await stage.answers('client-v2', nameOf(version), 'REFUSED');
    await stage.answers('client-v2', nameOf(version), 'REFUSED', ['+tcp']);
    await stage.isDeniedAt('client-v2', `server-${version}`, serverAt(stage, version));
    await stage.isDeniedAt('client-v2', `pod-of-server-${version}`, lab.addressOf(`server-${version}`));
  }
  tell.did('tandem observe -o json');
  for (const kind of ['L7', 'L3_L4']) {
    await tell.expectSoon(`a flow of kind ${kind} that was dropped says IDENTITY_STALE`, SOON_MS, async () => {
      const flows = await stage.flows(here, '--from-ip', stage.address(podAddress(CLIENT_V2)), '--verdict', 'DROPPED');
      const found = flows.filter((flow) => flow.Type === kind && JSON.stringify(flow).includes('IDENTITY_STALE'));
      return finding(found.at(-1) ?? `${String(flows.length)} flows, none`, found.length > 0);
    });
  }
}

async function sourceIsBack(stage: Stage): Promise<void> {
  const { lab, tell } = stage;
  tell.step('3. The source comes back');
  await lab.thaw(1);
  const started = performance.now();
  const seconds = await judgedAs(stage, 'client-v2', 'v2', started);
  tell.expect('within a second it is judged as client-v2', finding(`after ${seconds.toFixed(2)} s`, seconds * 1_000 <= JUDGED_MS));
  await mayCall(stage, 'client-v2', 'v2');
}

/** Seconds since `started` until the pod's lookup of its own server is answered. */
async function judgedAs(stage: Stage, pod: string, version: Version, started: number): Promise<number> {
  let status = '';
  while (performance.now() - started < SETTLED_MS) {
    status = (await stage.lookUp(pod, nameOf(version))).status;
    if (status === 'NOERROR') return (performance.now() - started) / 1_000;
  }
  throw new Error(`${pod} was not judged as client-${version} within ${String(SETTLED_MS)} ms: its lookup is answered ${status}`);
}

/** The next pod to inherit the address: always of the other version than the one that had it. */
function heir(time: number, version: Version): PodPlan {
  return { ...CLIENT_V2, name: `heir${String(time)}`, labels: { app: 'client', version }, uid: `5eed0000-0000-4000-9000-${time.toString(16).padStart(12, '0')}` };
}

async function hundredTries(stage: Stage): Promise<void> {
  const { lab, tell } = stage;
  tell.step(`4. ${String(TRIES)} times more, on a link of another name and of the same, in turn`);
  let before = { name: 'client-v2', version: 'v2' as Version };
  const successes: string[] = [];
  let worstSeconds = 0;
  for (let time = 0; time < TRIES; time++) {
    const version = other(before.version);
    const pod = heir(time, version);
    const { link } = lab.pod(before.name);
    lab.frozen.add(1);
    await lab.removePod(before.name);
    await lab.addPod(pod, time % 2 === 0 ? link : `heir${String(time)}`);
    const [first, second, connection] = await Promise.all([
      stage.lookUp(pod.name, nameOf(before.version)), stage.lookUp(pod.name, nameOf(version)), stage.curlAt(pod.name, 'server', serverAt(stage, before.version)),
    ]);
    if (first.status !== 'REFUSED' || second.status !== 'REFUSED' || connection.reached !== 'refused') {
      successes.push(`try ${String(time)}: ${first.status}, ${second.status}, ${connection.reached}`);
    }
    await lab.thaw(1);
    const started = performance.now();
    worstSeconds = Math.max(worstSeconds, await judgedAs(stage, pod.name, version, started));
    before = { name: pod.name, version };
  }
  tell.expect('both lookups and the connection are refused, each time', finding(successes.length === 0 ? `${String(TRIES)} of ${String(TRIES)}` : successes.join('; '), successes.length === 0));
  tell.expect('and each is judged as itself within a second of the source\'s return', finding(`worst ${worstSeconds.toFixed(2)} s`, worstSeconds * 1_000 <= JUDGED_MS));
}

/** A manifest that cannot be read: from then on the agent knows that it does not know. */
function cutOff(stage: Stage, isCutOff: boolean): void {
  const path = join(stage.lab.manifestsDir(1), 'broken.yaml');
  if (isCutOff) writeFileSync(path, 'kind: [');
  else rmSync(path, { force: true });
}

/** The pod on the other node goes, and one of the other version gets its address, of which node 1 hears nothing. */
async function replaceRemote(stage: Stage, pod: string, version: Version): Promise<string> {
  const { lab, tell } = stage;
  const { plan } = lab.pod(pod);
  const name = `remote-heir-${version}`;
  tell.did(`on node 2: ${pod} is deleted; ${name} gets its address`);
  lab.frozen.add(1);
  cutOff(stage, true);
  await lab.removePod(pod);
  await lab.addPod({ ...plan, name, labels: { app: 'client', version }, uid: `5eed0000-0000-4000-a000-00000000000${version === 'v1' ? '1' : '2'}` });
  return name;
}

async function reachesSoon(stage: Stage, pod: string, version: Version, wanted: 'works' | 'refused', why: string): Promise<void> {
  const server = `server-${version}`;
  stage.tell.did(`${pod}: curl http://${server} at its pod`);
  await stage.tell.expectSoon(`${wanted === 'works' ? 'it connects' : 'refused'}: ${why}`, SETTLED_MS, async () => {
    const { reached, text } = await stage.curlAt(pod, server, stage.lab.addressOf(server));
    return finding(`${reached}: ${text}`, reached === wanted);
  });
}

async function backAgain(stage: Stage): Promise<void> {
  stage.tell.did('the source of node 1 is back');
  cutOff(stage, false);
  await stage.lab.thaw(1);
}

/** The second form: what labels gave to an address on another node lives on, or lapses, as `--stale-source-limit` says. */
async function fromAnotherNode(stage: Stage, tandem: Tandem): Promise<void> {
  const { tell, lab } = stage;
  tell.step('5. Client and server on two nodes, the server\'s is cut off; no limit (the default): grants live on');
  await reachesSoon(stage, 'remote-v1', 'v1', 'works', 'its label may');
  await reachesSoon(stage, 'remote-v1', 'v2', 'refused', 'its label may not');
  const second = await replaceRemote(stage, 'remote-v1', 'v2');
  await reachesSoon(stage, second, 'v1', 'works', 'an outage of the source cuts nobody off, and node 1 cannot see whose the address is now');
  await backAgain(stage);
  await reachesSoon(stage, second, 'v2', 'works', 'known again, as client-v2');
  await reachesSoon(stage, second, 'v1', 'refused', 'as client-v2');

  tell.step(`6. The same with --stale-source-limit ${String(STALE_SECONDS)}: grants lapse`);
  await tandem.stop();
  const limited = await Tandem.start(lab, 1, [...TRANSPARENT, '--stale-source-limit', String(STALE_SECONDS)]);
  await reachesSoon(stage, second, 'v2', 'works', 'the source is good');
  const third = await replaceRemote(stage, second, 'v1');
  await reachesSoon(stage, third, 'v2', 'refused', 'what labels gave to the address has lapsed');
  await reachesSoon(stage, third, 'v1', 'refused', 'nor is it anything else');
  tell.did('tandem observe -o json');
  await tell.expectSoon('a dropped flow says that the source is stale', SOON_MS, async () => {
    const flows = await stage.flows(limited, '--from-ip', lab.addressOf(third), '--verdict', 'DROPPED');
    const found = flows.filter((flow) => flow.source.labels?.includes('tandem:stale-source'));
    return finding(found.at(-1) ?? `${String(flows.length)} flows, none`, found.length > 0);
  });
  await backAgain(stage);
  await reachesSoon(stage, third, 'v1', 'works', 'known again, as client-v1');
  await reachesSoon(stage, third, 'v2', 'refused', 'as client-v1');
}

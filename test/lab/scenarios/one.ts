/** Scenario 1: the life of a mapping. */
import { join } from 'node:path';
import type { Child } from '../../harness/child.js';
import { ROLES } from '../../harness/pair.js';
import { until } from '../../harness/until.js';
import { Tandem, TRANSPARENT } from '../topology/tandem.js';
import { examplePolicy, finding, SOON_MS } from './stage.js';
import type { Mapping, Stage } from './stage.js';

const ECHO = 'echo.k8s.intra';
const OTHER = 'other.k8s.intra';
const FIRST = { v4: '172.17.0.2', v6: '2001:db8:17::2' };
const SECOND = { v4: '172.17.0.3', v6: '2001:db8:17::3' };
const THIRD = { v4: '172.17.0.9', v6: '2001:db8:17::9' };
const LONG_TTL_SECONDS = 3_600;
const SHORT_TTL_SECONDS = 5;
const COLLECT_SECONDS = 2;
/** Two collections of both kinds, and what a busy machine adds. */
const CLOSED_MS = (4 * COLLECT_SECONDS + 10) * 1_000;
/** Collection waits half a minute longer than the expiry: docs/decisions/mapping-extensions.md. */
const EXPIRED_MS = (SHORT_TTL_SECONDS + 30 + 2 * COLLECT_SECONDS + 10) * 1_000;
const POLICY_FILE = 'policy-echo.yaml';

export async function lifeOfAMapping(stage: Stage): Promise<void> {
  const { lab } = stage;
  lab.apply(POLICY_FILE, examplePolicy('scenario-life-of-a-mapping'));
  const flags = [...TRANSPARENT, '--tofqdns-min-ttl', String(LONG_TTL_SECONDS)];
  const here = await Tandem.start(lab, 1, flags);
  const there = await Tandem.start(lab, 2, flags);
  await beforeAnyLookUp(stage);
  await afterALookUp(stage, here);
  await theOtherPod(stage);
  await theRecordChanges(stage);
  await expiryWithAConnectionOpen(stage, here);
  stage.tell.step('What the DNS servers say');
  stage.tell.expect('no query of a pod came to a DNS server from the pod itself', stage.nothingPast(...['net1', 'net2', 'net3'].map((pod) => lab.addressOf(pod))));
  stage.tell.expect('the pair on the second node is well', finding((await there.status('agent')).readiness, (await there.status('agent')).readiness.ready));
}

async function beforeAnyLookUp(stage: Stage): Promise<void> {
  stage.tell.step('1. Before any look-up');
  await stage.isDeniedAt('net1', ECHO, stage.address(FIRST));
}

async function afterALookUp(stage: Stage, here: Tandem): Promise<void> {
  stage.tell.step('2. After a look-up');
  await stage.works('net1', `http://${ECHO}`);
  const endpoint = (await here.cliJson<{ id: number; pod: string }[]>('endpoint', 'list')).find((one) => one.pod === 'net1');
  stage.tell.did('tandem cache list, of each member');
  for (const role of ROLES) {
    await stage.tell.expectSoon(`${role}: endpoint, lookup, ${ECHO}., TTL, expiration time, address`, SOON_MS, async () => {
      const rows = await here.cliJson<Mapping[]>('cache', 'list', '--member', role, '-p', ECHO);
      // A and AAAA are two look-ups, often in two milliseconds.
      const row = rows.find((one) => one['endpoint-id'] === endpoint?.id && one.ips.includes(stage.address(FIRST)));
      const livesSeconds = row === undefined ? 0 : (Date.parse(row['expiration-time']) - Date.parse(row['lookup-time'])) / 1_000;
      return finding(rows, row?.fqdn === `${ECHO}.` && row.source === 'lookup' && row.ttl > 0 && livesSeconds >= LONG_TTL_SECONDS);
    });
  }
  const answer = `DNS Answer "${stage.address(FIRST)}" TTL: 30 (Proxy ${ECHO}. ${stage.type})`;
  const quoted = answer.replace(/[.()"]/g, '\\$&');
  await stage.observes(here, ['--from-pod', 'lab/net1'], [
    new RegExp(`dns-request proxy FORWARDED \\(DNS Query ${ECHO}\\. ${stage.type}\\)`), /policy-verdict:\S+ EGRESS ALLOWED \(TCP Flags: SYN\)/,
  ]);
  await stage.observes(here, ['--pod', 'lab/net1'], [new RegExp(`dns-response proxy FORWARDED \\(${quoted}\\)`)]);
}

async function theOtherPod(stage: Stage): Promise<void> {
  stage.tell.step('3. Learned by one pod, it serves every pod whose policy selects the name');
  await stage.worksAt('net2', ECHO, stage.address(FIRST));
}

async function theRecordChanges(stage: Stage): Promise<void> {
  stage.tell.step('4. The record changes');
  await stage.lab.setName({ name: ECHO, ttlSeconds: 30, addresses: [SECOND.v4, SECOND.v6] });
  stage.tell.did(`${ECHO} is now at ${stage.address(SECOND)}`);
  await stage.works('net1', `http://${ECHO}`);
  await stage.worksAt('net1', ECHO, stage.address(SECOND));
  await stage.worksAt('net1', ECHO, stage.address(FIRST));
  stage.tell.did('a pod on the second node asks only now');
  await stage.works('net3', `http://${ECHO}`);
  await stage.isDeniedAt('net3', ECHO, stage.address(FIRST));
}

/** Connections to the outside are let go of as soon as they end, not minutes later. */
const FORGET_SOON = ['close', 'close_wait', 'fin_wait', 'last_ack', 'time_wait']
  .map((state) => `echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_${state}`).join('\n');

async function expiryWithAConnectionOpen(stage: Stage, before: Tandem): Promise<void> {
  stage.tell.step('5. Expiry while a connection is open');
  const { lab, tell } = stage;
  await lab.shell('node1', FORGET_SOON);
  await lab.setName({ name: OTHER, ttlSeconds: 1, addresses: [THIRD.v4, THIRD.v6] });
  await before.stop();
  const here = await Tandem.start(lab, 1, [
    ...TRANSPARENT, '--tofqdns-min-ttl', String(SHORT_TTL_SECONDS), '--tofqdns-gc-interval', `${String(COLLECT_SECONDS)}s`, '--conntrack-gc-interval', `${String(COLLECT_SECONDS)}s`,
  ]);
  tell.did(`both members again, with a minimum TTL of ${String(SHORT_TTL_SECONDS)} s, and collections every ${String(COLLECT_SECONDS)} s`);
  await stage.works('net1', `http://${OTHER}`);
  const held = lab.spawn('net1', [process.execPath, join(import.meta.dirname, '../topology/hold.js'), stage.address(THIRD), '80']);
  try {
    await until('the connection to be open', SOON_MS, () => (alive(held) > 0 ? true : null));
    const source = async (): Promise<string[]> => (await here.cliJson<Mapping[]>('cache', 'list', '-p', OTHER)).map((row) => row.source);
    tell.expect('the mapping is a lookup', finding(await source(), (await source()).includes('lookup')));
    await tell.expectSoon('its source turns from lookup to connection', EXPIRED_MS, async () => {
      const sources = await source();
      return finding(sources, sources.length > 0 && sources.every((one) => one === 'connection'));
    });
    const count = alive(held);
    await tell.expectSoon('the connection lives', SOON_MS, () => Promise.resolve(finding(`${String(alive(held))} answers`, alive(held) > count + 2)));
    await stage.worksAt('net1', OTHER, stage.address(THIRD));
  } finally {
    await held.stop('SIGKILL');
  }
  tell.did('the connection is closed');
  // Not by trying to connect: that would be another connection.
  await tell.expectSoon('after two collections the mapping is gone', CLOSED_MS, async () => {
    const rows = await here.cliJson<Mapping[]>('cache', 'list', '-p', OTHER);
    return finding(rows, rows.length === 0);
  });
  for (const pod of ['net1', 'net2']) await stage.isDeniedAt(pod, OTHER, stage.address(THIRD));
}

function alive(held: Child): number {
  return Number(/.*^alive (\d+)$/ms.exec(held.standardOutput)?.[1] ?? 0);
}

/** Scenario 3: no agent, no difference. */
import { join } from 'node:path';
import { peerOf } from '../../harness/pair.js';
import type { Role } from '../../harness/pair.js';
import { until } from '../../harness/until.js';
import { isClean, Load, shown, startSlowServer } from '../topology/load.js';
import { Tandem } from '../topology/tandem.js';
import { examplePolicy, finding, SOON_MS } from './stage.js';
import type { Mapping, Stage } from './stage.js';

const RATE = 3_000;
const LOAD_SECONDS = 300;
const BACK_MS = 5_000;
const CRAWLER = 'crawler';
const BBC = { name: 'bbc.co.uk', v4: '198.51.100.30', v6: '2001:db8:17:100::30' };

/** An address of google.com that nobody has seen yet. */
function fresh(index: number): { readonly v4: string; readonly v6: string } {
  return { v4: `198.51.100.${String(150 + index)}`, v6: `2001:db8:17:100::${String(150 + index)}` };
}

export async function noAgent(stage: Stage): Promise<void> {
  const { lab } = stage;
  lab.apply('policy-crawler.yaml', examplePolicy('scenario-no-agent'));
  await startSlowServer(lab);
  const here = await Tandem.start(lab, 1);
  await here.redundant();
  stage.tell.step('1. Both are up');
  await theSame(stage);
  await without(stage, here, { role: 'agent', first: 2 });
  await without(stage, here, { role: 'dns-proxy', first: 4 });
  await rolled(stage, here);
  await bothKilled(stage, here);
}

async function theSame(stage: Stage): Promise<void> {
  await stage.works(CRAWLER, 'http://google.com');
  await stage.works(CRAWLER, 'http://cilium.io:443');
  const { addresses } = await stage.answers(CRAWLER, BBC.name, 'NOERROR');
  stage.tell.expect(`it resolves to ${stage.address(BBC)}`, finding(addresses, addresses.includes(stage.address(BBC))));
  await stage.isDenied(CRAWLER, `http://${BBC.name}`);
}

async function without(stage: Stage, here: Tandem, { role, first }: { readonly role: Role; readonly first: number }): Promise<void> {
  const { tell, lab } = stage;
  const peer = peerOf(role);
  const isAgent = role === 'agent';
  tell.step(`${String(first)}. ${role} dies under ${String(RATE)} queries/s, and stays down`);
  const load = await Load.start(lab, CRAWLER, { rate: RATE, seconds: LOAD_SECONDS });
  await load.flowing();
  await here.end(role, 'SIGKILL');
  tell.did(`SIGKILL to ${role}`);
  await load.flowing();
  const result = await load.stop();
  tell.expect('nothing is lost, refused or wrong', finding(shown(result), isClean(result)));
  await theSame(stage);
  const there = fresh(isAgent ? 0 : 1);
  await lab.setName({ name: 'google.com', ttlSeconds: 30, addresses: [there.v4, there.v6] });
  tell.did(`google.com is now at ${stage.address(there)}, which nobody has seen before`);
  await stage.works(CRAWLER, 'http://google.com');
  await stage.observes(here, ['--from-pod', `lab/${CRAWLER}`], [/dns-request proxy FORWARDED \(DNS Query google\.com\./, /policy-verdict:none EGRESS DENIED/]);
  await returns(stage, here, { role, peer, step: `${String(first + (isAgent ? 1 : 0))}. ${role} returns`, seen: stage.address(there) });
}

async function returns(stage: Stage, here: Tandem, { role, peer, step, seen }: { readonly role: Role; readonly peer: Role; readonly step: string; readonly seen: string }): Promise<void> {
  const { tell } = stage;
  tell.step(step);
  here.launch(role);
  await here.ready(role);
  await tell.expectSoon(`within 5 s its cache list equals that of ${peer}`, BACK_MS, async () => {
    const [own, other] = await Promise.all([role, peer].map(async (member) => comparable(await here.cliJson<Mapping[]>('cache', 'list', '--member', member))));
    return finding(`${String(own.length)} and ${String(other.length)} mappings`, own.length > 0 && own.join('\n') === other.join('\n'));
  });
  await tell.expectSoon(`flows of the outage are there, on ${role}`, SOON_MS, async () => {
    const flows = await stage.flows(here, '--member', role, '--pod', `lab/${CRAWLER}`);
    const found = flows.filter((flow) => flow.Summary?.includes(seen) === true || flow.IP.destination === seen);
    return finding(found.map((flow) => `${flow.Type} ${flow.verdict}`), found.some((flow) => flow.Type === 'L7') && found.some((flow) => flow.Type === 'L3_L4'));
  });
  await here.inTouch();
  await here.redundant();
}

/** Without times: each member tells them by its own clock's offset. */
function comparable(rows: readonly Mapping[]): string[] {
  return rows.map((row) => [row['endpoint-id'], row.fqdn, [...row.ips].sort(), row.source, row.ttl].join(' ')).sort();
}

async function rolled(stage: Stage, here: Tandem): Promise<void> {
  const { tell, lab } = stage;
  tell.step('5. Rolling replacement of both under load, in both orders');
  const load = await Load.start(lab, CRAWLER, { rate: RATE, seconds: LOAD_SECONDS });
  await load.flowing();
  for (const role of ['agent', 'dns-proxy', 'dns-proxy', 'agent'] as const) {
    tell.did(`${role}: SIGTERM, its end, a new one`);
    await here.end(role, 'SIGTERM');
    here.launch(role);
    await here.ready(role);
    await here.redundant();
    await load.flowing();
  }
  const result = await load.stop();
  tell.expect('nothing is lost, refused or wrong', finding(shown(result), isClean(result)));
  await stage.works(CRAWLER, 'http://cilium.io');
}

async function bothKilled(stage: Stage, here: Tandem): Promise<void> {
  const { tell, lab } = stage;
  tell.step('6. Both are killed');
  const cilium = (await stage.lookUp(CRAWLER, 'cilium.io')).addresses[0];
  const held = lab.spawn(CRAWLER, [process.execPath, join(import.meta.dirname, '../topology/hold.js'), cilium, '80']);
  const alive = (): number => Number(/.*^alive (\d+)$/ms.exec(held.standardOutput)?.[1] ?? 0);
  try {
    await until('the connection to be open', SOON_MS, () => (alive() > 0 ? true : null));
    await Promise.all([here.end('agent', 'SIGKILL'), here.end('dns-proxy', 'SIGKILL')]);
    tell.did('SIGKILL to both');
    const queries = lab.seenQueries().length;
    for (const more of [[], ['+tcp']]) await stage.answers(CRAWLER, 'google.com', 'none', more);
    tell.expect('no query reached a DNS server', finding(`${String(lab.seenQueries().length - queries)} more than before`, lab.seenQueries().length === queries));
    tell.expect('and none ever came from the pod itself', stage.nothingPast(lab.addressOf(CRAWLER)));
    const count = alive();
    await tell.expectSoon('the open connection lives', SOON_MS, () => Promise.resolve(finding(`${String(alive())} answers`, alive() > count + 2)));
    await stage.worksAt(CRAWLER, 'cilium.io', cilium);
    await stage.isDeniedAt(CRAWLER, BBC.name, stage.address(BBC));
  } finally {
    await held.stop('SIGKILL');
  }
}

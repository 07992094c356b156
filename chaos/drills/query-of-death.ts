import { CLIENT_A } from '#harness/manifests.js';
import { UdpClient } from '#harness/clients.js';
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { DEADLINE_MS, until } from '#harness/until.js';
import { buildQuery, RCODE, readMessage, TYPE } from '#harness/wire.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { peerOf } from '../lib/stage.js';
import type { Stage } from '../lib/stage.js';

const NAME = 'death.bench.test';
const PLANTED = { environment: { TANDEM_FAULTS: `crash-on=${NAME}.` } };
/** The kernel chooses the reader by the source port; in so many tries it has chosen both. */
const TRIES_MOST = 24;

export const queryOfDeath: Drill = {
  name: 'query-of-death',
  hypothesis: 'A query that kills its reader does not kill the one who takes over: it is answered SERVFAIL unread, all others as ever.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `Both members crash by SIGSEGV when they read a query for ${NAME}; it is asked until either has.`,
  expected: NOTHING_LOST,
  abort: { afterSeconds: 120, lostMost: 5_000 },
  launch: () => Promise.resolve({ agent: PLANTED, 'dns-proxy': PLANTED }),
  run: async (stage) => {
    const died = new Set<Role>();
    for (let time = 0; time < TRIES_MOST && died.size < ROLES.length; time++) died.add(await killOne(stage));
    stage.prove('both members have read it once', died.size === ROLES.length, [...died].join(', '));
  },
};

async function killOne(stage: Stage): Promise<Role> {
  const unreadBefore = await Promise.all(ROLES.map((role) => stage.metric(role, 'taken_unparsed')));
  const client = await UdpClient.open(CLIENT_A, stage.pair.server);
  stage.fault(`query for ${NAME}`);
  let rcode: number;
  try {
    ({ rcode } = readMessage(await client.ask(buildQuery({ name: NAME, type: TYPE.A }))));
    await stage.calm();
    stage.prove('it is answered once', client.unexpected.length === 0, `${String(client.unexpected.length)} more answers`);
  } finally {
    client.close();
  }
  // Its peer answers as soon as it says that it dies, which may be before it is gone.
  const dead = await until('one member gone', DEADLINE_MS, () => {
    const gone = ROLES.filter((role) => stage.pair.member(role).exit !== null);
    return gone.length > 0 ? gone : null;
  });
  stage.prove('one member died', dead.length === 1, dead.join(', '));
  stage.prove('the query was answered SERVFAIL', rcode === RCODE.servFail, `response code ${String(rcode)}`);
  const [role] = dead;
  const exit = await stage.ended(role);
  stage.prove(`${role} crashed`, exit.signal === 'SIGSEGV', JSON.stringify(exit));
  const unread = await stage.metric(peerOf(role), 'taken_unparsed') - unreadBefore[ROLES.indexOf(peerOf(role))];
  stage.prove(`${peerOf(role)} answered it unread`, unread >= 1, `${String(unread)} unread`);
  await stage.launch(role);
  await stage.redundant();
  return role;
}

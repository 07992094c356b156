import t from 'tap';
import { lostModel, pairModel } from './pair-model.js';
import { answer, type Change } from './testing/answers.js';
import type { Role, Status } from './api.js';

interface Case {
  readonly name: string;
  readonly changes: Partial<Record<Role, Change>>;
  readonly agent: string;
  readonly readBy: string;
  readonly level: string;
  readonly headline: RegExp;
}

const ADOPTS: Change = { dataPlane: { adopted: 1, redundant: false, held: false } };
const STARTING = { ready: false, reason: 'the shared addresses are not bound yet' };

const cases: readonly Case[] = [
  { name: 'both well', changes: {}, agent: 'serving', readBy: 'agent', level: 'good', headline: /^Redundant/ },
  { name: 'the agent killed, and taken over', changes: { 'agent': { cause: 'gone' }, 'dns-proxy': ADOPTS }, agent: 'gone', readBy: 'dns-proxy', level: 'warn', headline: /agent is gone; dns-proxy answers for it/ },
  { name: 'the agent killed, without takeover', changes: { 'agent': { cause: 'gone' }, 'dns-proxy': { dataPlane: { redundant: false } } }, agent: 'gone', readBy: 'nobody', level: 'warn', headline: /agent is gone; dns-proxy answers alone/ },
  { name: 'the agent ended in order', changes: { 'agent': { cause: 'absent' }, 'dns-proxy': ADOPTS }, agent: 'stopped', readBy: 'dns-proxy', level: 'warn', headline: /agent is stopped/ },
  { name: 'the control thread of the agent hangs alone', changes: { 'agent': { cause: 'silent' }, 'dns-proxy': {} }, agent: 'silent', readBy: 'unknown', level: 'warn', headline: /agent does not answer/ },
  { name: 'the data plane of the agent hangs alone', changes: { 'agent': { dataPlane: { redundant: false } }, 'dns-proxy': ADOPTS }, agent: 'serving', readBy: 'dns-proxy', level: 'warn', headline: /dns-proxy answers for agent, which has no heartbeat/ },
  { name: 'the agent asks to leave', changes: { agent: { dataPlane: { draining: 'asking' } } }, agent: 'draining', readBy: 'agent', level: 'warn', headline: /agent is draining/ },
  { name: 'the agent leaves', changes: { 'agent': { dataPlane: { draining: 'leaving', redundant: false } }, 'dns-proxy': ADOPTS }, agent: 'draining', readBy: 'dns-proxy', level: 'warn', headline: /agent is draining; dns-proxy answers for it/ },
  { name: 'the agent starts', changes: { 'agent': { status: { readiness: STARTING } }, 'dns-proxy': ADOPTS }, agent: 'starting', readBy: 'dns-proxy', level: 'warn', headline: /agent is starting/ },
  { name: 'neither holds the other', changes: { 'agent': { dataPlane: { redundant: false } }, 'dns-proxy': { dataPlane: { redundant: false } } }, agent: 'serving', readBy: 'agent', level: 'warn', headline: /neither holds the other/ },
  { name: 'neither serves', changes: { 'agent': { cause: 'gone' }, 'dns-proxy': { status: { readiness: STARTING } } }, agent: 'gone', readBy: 'nobody', level: 'bad', headline: /No member answers/ },
];

for (const { name, changes, agent, readBy, level, headline } of cases) {
  t.test(`${name}: who reads what, and one sentence`, (t) => {
    const model = pairModel(answer(0, changes));
    t.match(model, { level, headline, members: { agent: { state: agent, socketsReadBy: readBy } } });
    t.equal(model.isRedundant, level === 'good');
    t.end();
  });
}

t.test('when the member that serves the page is silent, nothing is said of the other', (t) => {
  const model = lostModel(pairModel(answer(0)), 'nobody answers');
  t.match(model, { level: 'bad', isRedundant: false, isLinked: null });
  t.match(model.members['dns-proxy'], { state: 'silent', socketsReadBy: 'unknown' });
  t.match(model.members.agent, { state: 'unknown', socketsReadBy: 'unknown', isHeld: false });
  t.end();
});

t.test('a member of an older release, which says less, is shown with what it says', (t) => {
  const old = answer(0);
  const members = old.members.map((member) => {
    const known = Object.entries(member.status!).filter(([field]) => field !== 'dataPlane' && field !== 'latency');
    return { ...member, status: Object.fromEntries(known) as unknown as Status };
  });
  const model = pairModel({ ...old, members });
  t.match(model, { isRedundant: false, members: { agent: { state: 'serving', socketsReadBy: 'agent', isHeld: false } } });
  t.end();
});

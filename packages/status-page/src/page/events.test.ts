import t from 'tap';
import { EventLog, EVENTS_MAX } from './events.js';
import { pairModel } from './pair-model.js';
import { answer, type Change, timeMs } from './testing/answers.js';
import type { Role } from './api.js';

function told(log: EventLog, atSeconds: number, changes: Partial<Record<Role, Change>>): string[] {
  const before = log.events.length;
  log.add(pairModel(answer(atSeconds, changes)), timeMs(atSeconds));
  return log.events.slice(0, log.events.length - before).reverse().map(({ text }) => text);
}

const ADOPTED: Change = { dataPlane: { adopted: 1, redundant: false, held: false }, status: { counters: { takeovers: 1, taken: 3 }, peer: { connected: false, since: null, revision: 1, lag: 1 } } };
const AFTER: Change = { status: { counters: { takeovers: 1, taken: 3 } } };

t.test('a member that is killed and comes back is told of, step by step', (t) => {
  const log = new EventLog();
  t.match(told(log, 0, {}), [/^watching: redundant/]);
  t.strictSame(told(log, 1, {}), [], 'nothing happened');
  t.strictSame(told(log, 2, { 'agent': { cause: 'gone' }, 'dns-proxy': ADOPTED }), [
    'agent is gone: its process died', 'dns-proxy reads the sockets of agent', 'dns-proxy took over from agent, with 3 unanswered queries',
    'the link between the two is down',
  ]);
  const back = { status: { incarnation: 'cccccccccccccccc', pid: 300 } };
  t.strictSame(told(log, 6.5, { 'agent': back, 'dns-proxy': AFTER }), [
    'agent was started anew: incarnation cccccccc, pid 300, version 0.1.0', 'agent serves', 'agent reads its own sockets again',
    'the link between the two is up', 'redundant again after 4.5 s',
  ]);
  t.equal(log.events[0].text, 'redundant again after 4.5 s', 'the newest comes first');
  t.end();
});

const counters = (takeovers: number, taken: number): Change => ({ status: { counters: { takeovers, taken } } });

t.test('a takeover between two looks is told by the counters, one from before the page is not', (t) => {
  const log = new EventLog();
  t.equal(told(log, 0, { 'dns-proxy': counters(1, 3) }).length, 1);
  t.strictSame(told(log, 1, { 'dns-proxy': counters(2, 4) }), ['dns-proxy took over from agent for a moment, with 1 unanswered query: a late heartbeat']);
  t.end();
});

t.test('late heartbeats are one line for each member, until something of weight happens', (t) => {
  const log = new EventLog();
  told(log, 0, {});
  for (let second = 1; second <= 40; second++) told(log, second, { 'dns-proxy': counters(second, 2 * second), 'agent': counters(Math.floor(second / 2), 0) });
  t.strictSame(log.events.slice(0, -1).map(({ text }) => text).sort(), [
    'agent took over from dns-proxy for a moment, 20 times: a late heartbeat',
    'dns-proxy took over from agent for a moment, 40 times, with 80 unanswered queries: a late heartbeat',
  ]);
  t.equal(log.events[0].timeMs, timeMs(40), 'with the time of the last');
  const policy = { revision: 2, hash: null, appliedAt: null, endpoints: 0, fqdnSelectors: 0, problems: [] };
  told(log, 41, { 'dns-proxy': counters(40, 80), 'agent': { status: { policy, counters: { takeovers: 20, taken: 0 } } } });
  told(log, 42, { 'dns-proxy': counters(41, 80), 'agent': { status: { policy, counters: { takeovers: 20, taken: 0 } } } });
  t.match(log.events.map(({ text }) => text), [/^dns-proxy took over from agent for a moment: a late/, /policy revision 2/, /40 times|20 times/]);
  t.end();
});

t.test('a newer policy is told of, and the list is bounded', (t) => {
  const log = new EventLog();
  for (let revision = 1; revision <= 2 * EVENTS_MAX; revision++) {
    const policy = { revision, hash: null, appliedAt: null, endpoints: 0, fqdnSelectors: 0, problems: [] };
    told(log, revision, { agent: { status: { policy } } });
    if (revision > 1) t.equal(log.events[0].text, `agent enforces policy revision ${String(revision)}`);
  }
  t.equal(log.events.length, EVENTS_MAX);
  t.end();
});

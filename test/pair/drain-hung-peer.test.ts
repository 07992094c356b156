/** A member is told to end while its peer hangs: it asks, nobody says that it may go, and it ends all the same. */
import t from 'tap';
import { within } from '../harness/until.js';
import { addressA, buildAnswer } from '../harness/wire.js';
import { startBench } from './start.js';

/** PEER_BACK_MS of handover.ts, the time that a query may take, and as much again. */
const END_DEADLINE_MS = 25_000;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} ends a member although its peer hangs`, async (t) => {
    const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
    const hung = pair.member('agent').process;
    hung.kill('SIGSTOP');
    t.teardown(() => hung.kill('SIGCONT'));
    const leaving = pair.member('dns-proxy');
    leaving.process.kill(signal);
    t.same(await within('the end', END_DEADLINE_MS, leaving.exited), { code: 0, signal: null });
  });
}

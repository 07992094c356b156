import { ROLES } from '#harness/pair.js';
import { ONCE } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';

const DEAD_MS = 1_000;
/** What is under way to the upstream when the last one dies still gets there. */
const SETTLE_MS = 100;

export const bothDead: Drill = {
  name: 'both-dead',
  hypothesis: 'With both members dead nothing is answered and nothing gets past them; started again, from their state and without a fault of their own, they serve as before.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `Both members are killed at once, and started again after ${String(DEAD_MS / 1_000)} s.`,
  expected: [
    ONCE, { figure: 'wrong', atMost: 0 }, { figure: 'refused', atMost: 0 }, { figure: 'failed', atMost: 0 }, { figure: 'lost', atLeast: 1_000 },
  ],
  abort: { afterSeconds: 40, lostMost: 60_000 },
  run: async (stage) => {
    const policy = (await stage.pair.status('agent')).policy.hash;
    for (const role of ROLES) stage.pair.member(role).process.kill('SIGKILL');
    stage.fault('kill both');
    for (const role of ROLES) stage.proveKilled(role, await stage.ended(role));
    await stage.calm(SETTLE_MS);
    const before = await stage.upstream.counts();
    await stage.calm(DEAD_MS);
    const after = await stage.upstream.counts();
    stage.prove('nothing got past them', after.asked === before.asked, `${String(after.asked - before.asked)} questions at the upstream`);
    await Promise.all(ROLES.map((role) => stage.launch(role)));
    await stage.redundant();
    stage.prove('they enforce the same policy', (await stage.pair.status('dns-proxy')).policy.hash === policy);
    await stage.bothAnswer();
  },
};

import { ROLES } from '#harness/pair.js';
import { mappingsOf } from '../lib/cache.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';

const LYING_MS = 3_000;
/** What native/upstream.cc gives honestly. */
const HONEST = new Set(['192.0.2.1', '2001:db8::1']);

export const upstreamLies: Drill = {
  name: 'upstream-lies',
  hypothesis: 'Answers from another port, with another ID or to another question are ignored, and an address of a name that was not asked for is not learned.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `For ${String(LYING_MS / 1_000)} s each answer is preceded by three forged ones and carries a foreign name's address.`,
  expected: NOTHING_LOST,
  abort: { afterSeconds: 30, lostMost: 5_000 },
  run: async (stage) => {
    const count = (name: string): Promise<number[]> => Promise.all(ROLES.map((role) => stage.metric(role, name)));
    const before = { unmatched: await count('upstream_unmatched'), offChain: await count('off_chain') };
    await stage.upstream.lie(true);
    stage.fault('upstream lies');
    await stage.calm(LYING_MS);
    const { lies } = await stage.upstream.lie(false);
    stage.heal('upstream honest again');
    stage.prove('the upstream lied', lies > 0, `${String(lies)} lies`);
    const after = { unmatched: await count('upstream_unmatched'), offChain: await count('off_chain') };
    for (const [index, role] of ROLES.entries()) {
      stage.prove(`${role} counted forged answers`, after.unmatched[index] > before.unmatched[index], String(after.unmatched[index] - before.unmatched[index]));
      stage.prove(`${role} counted foreign addresses`, after.offChain[index] > before.offChain[index], String(after.offChain[index] - before.offChain[index]));
      const mappings = await mappingsOf(stage.pair, role);
      const lied = mappings.filter((line) => line.includes(' evil.') || !HONEST.has(line.split(' ')[2]));
      stage.prove(`${role} learned no lie`, mappings.length > 0 && lied.length === 0, `${String(mappings.length)} mappings, lies: ${lied.slice(0, 3).join('; ')}`);
    }
    await stage.redundant();
  },
};

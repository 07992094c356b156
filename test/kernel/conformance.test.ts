/**
 * Every connection of the conformance tables, made in earnest through the kernel: with a veth for each pod, and with pods on a bridge,
 * whether or not that one's packets are shown to iptables.
 */
import t, { type Test } from 'tap';
import { titleOf, type ConnectionCase, type Group } from '../conformance/case.js';
import { tables } from '../conformance/tables.js';
import { Stage, type Apart } from './conformance.js';
import { Rig, type Wiring } from './rig.js';

const WIRINGS: readonly Wiring[] = [{ kind: 'veth', nfCall: 0 }, { kind: 'bridge', nfCall: 0 }, { kind: 'bridge', nfCall: 1 }];
/** What must be left when cases without an end on this node, and those for the proxy, stand apart. */
const PLAYED_MIN = 420;

function isConnection(one: Group['cases'][number]): one is ConnectionCase {
  return one.kind === 'connection';
}

async function playGroup(t: Test, rig: Rig, group: Group): Promise<Map<Apart | 'played', number>> {
  const counts = new Map<Apart | 'played', number>();
  const stage = await Stage.of(rig, group);
  for (const one of group.cases.filter(isConnection)) {
    const told = stage.trace(one);
    const apart = stage.apart(one, told);
    counts.set(apart ?? 'played', (counts.get(apart ?? 'played') ?? 0) + 1);
    if (apart !== null && apart !== 'its DNS goes to the proxy') continue;
    const title = `${group.name}: ${titleOf(one)}`;
    let outcomes = await stage.play(one, told);
    if (apart === null && one.verdict === 'allowed' && outcomes.some((outcome) => outcome !== 'ok')) {
      // The rules stand still: what they refuse they refuse again. A neighbour that a busy machine was late to find does not.
      t.comment(`${title}: ${outcomes.join(', ')}; tried once more`);
      outcomes = await stage.play(one, told);
    }
    // There is no proxy here: what is meant for it must not go elsewhere.
    if (apart !== null) t.notOk(outcomes.includes('ok'), `${title} (to the proxy, or nowhere)`, { outcomes });
    else t.equal(outcomes.every((outcome) => outcome === 'ok') ? 'allowed' : 'denied', one.verdict, title, { outcomes, told });
  }
  return counts;
}

for (const wiring of WIRINGS) {
  t.test(`connections are as the tables say: ${wiring.kind}, bridge-nf-call-iptables ${String(wiring.nfCall)}`, async (t) => {
    const rig = await Rig.start(wiring);
    t.teardown(() => { rig.close(); });
    const all = new Map<string, number>();
    for (const group of tables) for (const [why, count] of await playGroup(t, rig, group)) all.set(why, (all.get(why) ?? 0) + count);
    t.comment([...all].map(([why, count]) => `${why}: ${String(count)}`).join('; '));
    t.ok((all.get('played') ?? 0) >= PLAYED_MIN, `${String(all.get('played'))} connections were made`);
  });
}

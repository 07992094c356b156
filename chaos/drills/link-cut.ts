import { join } from 'node:path';
import { until } from '#harness/until.js';
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { mappingsOf } from '../lib/cache.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { LinkRelay } from '../lib/relay.js';
import type { Stage } from '../lib/stage.js';

const DEADLINE_MS = 15_000;
/** Asked for while the link is cut: either member gets its share of them. */
const FRESH = { prefix: 'cut', names: 500 } as const;

export const linkCut: Drill = {
  name: 'link-cut',
  hypothesis: 'With the pair link cut both members answer and learn on; when it heals, their caches are equal again.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `A relay in place of the link's socket ends its connections and takes no new ones, while ${String(FRESH.names)} new names are asked for.`,
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 5_000 },
  run: async (stage) => {
    const { pair } = stage;
    const relay = await LinkRelay.interpose(join(pair.runDir, 'pair.sock'));
    try {
      await stage.drain('dns-proxy');
      await stage.launch('dns-proxy');
      await stage.redundant();
      stage.prove('the link goes through the relay', relay.connections > 0, `${String(relay.connections)} connections`);
      relay.cut();
      stage.fault('link cut');
      await stage.bothAnswer();
      await stage.askFresh(FRESH.prefix, FRESH.names);
      const connected = await Promise.all(ROLES.map((role) => stage.metric(role, 'peer_connected')));
      stage.prove('both saw the cut', connected.every((value) => value === 0), connected.join(' and '));
      const [agent, proxy] = (await Promise.all(ROLES.map((role) => freshOf(stage, role)))).map((lines) => new Set(lines));
      const [ofAgent, ofProxy] = [agent.difference(proxy).size, proxy.difference(agent).size];
      stage.prove('each learned what the other does not know', ofAgent > 0 && ofProxy > 0, `${String(ofAgent)} and ${String(ofProxy)}`);
      relay.heal();
      stage.heal('link heals');
      await stage.redundant();
      const known = agent.union(proxy);
      await until('both caches to hold what either knew', DEADLINE_MS, async () => {
        const now = await Promise.all(ROLES.map((role) => freshOf(stage, role)));
        return now.every((lines) => known.isSubsetOf(new Set(lines))) ? true : null;
      });
      stage.prove('both caches hold what either knew', known.size === 2 * FRESH.names, `${String(known.size)} mappings`);
    } finally {
      relay.close();
    }
    // Over the agent's own socket again.
    await until('the link without the relay', DEADLINE_MS, async () => ((await stage.metric('dns-proxy', 'peer_connected')) === 1 ? true : null));
    await stage.redundant();
  },
};

async function freshOf(stage: Stage, role: Role): Promise<string[]> {
  return (await mappingsOf(stage.pair, role)).filter((line) => line.includes(` ${FRESH.prefix}`));
}

import { ROLES } from '#harness/pair.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { previousVersion } from '../lib/previous.js';

export const rollingUpgrade: Drill = {
  name: 'rolling-upgrade',
  hypothesis: 'Both members are replaced by another version, one after the other, as often as one likes, and no query notices.',
  steadyState: 'Both members, of the previous version, answer; no query is lost, answered twice or answered wrongly.',
  fault: 'Each member in turn is drained and started in this version, then in the previous one again, and so on (--repeat: how many replacements of both).',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 120, lostMost: 5_000 },
  needs: ['git'],
  repeat: 5,
  launch: () => {
    const { root } = previousVersion();
    return Promise.resolve({ agent: { root }, 'dns-proxy': { root } });
  },
  run: async (stage) => {
    const { root, commit } = previousVersion();
    for (let time = 0; time < stage.options.repeat; time++) {
      const isUpgrade = time % 2 === 0;
      for (const role of ROLES) {
        await stage.drain(role);
        await stage.launch(role, isUpgrade ? {} : { root });
        await stage.redundant();
      }
      stage.prove(isUpgrade ? 'both are of this version' : `both are of ${commit.slice(0, 12)}`, ROLES.every((role) => stage.pair.runsFrom(role, isUpgrade ? undefined : root)));
    }
  },
};

import { ROLES } from '#harness/pair.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { underKill } from '../lib/faults.js';
import { previousVersion } from '../lib/previous.js';

export const versionSkew: Drill = {
  name: 'version-skew',
  hypothesis: 'A pair of two versions is as good as a pair of one: either takes over from the other, and they share policy and mappings.',
  steadyState: 'agent of the previous version and dns-proxy of this one answer; no query is lost, answered twice or answered wrongly.',
  fault: 'Each of them is killed and started again; then the same with the versions the other way round.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 120, lostMost: 5_000 },
  needs: ['git'],
  launch: () => Promise.resolve({ agent: { root: previousVersion().root } }),
  run: async (stage) => {
    const { root } = previousVersion();
    for (const older of ROLES) {
      for (const role of ROLES) {
        await stage.drain(role);
        await stage.launch(role, role === older ? { root } : {});
        await stage.redundant();
      }
      for (const role of ROLES) {
        await underKill(stage, role, role === older ? { root } : {});
        stage.prove(`${older} alone is of the previous version`, ROLES.every((one) => stage.pair.runsFrom(one, one === older ? root : undefined)));
      }
      const [a, b] = await Promise.all(ROLES.map((role) => stage.pair.status(role)));
      stage.prove('both enforce one policy', a.policy.hash === b.policy.hash);
    }
  },
};

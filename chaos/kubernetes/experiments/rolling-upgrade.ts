import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { GOES_ON, STEADY } from '../lib/experiment.js';
import type { Experiment } from '../lib/experiment.js';
import type { Stage } from '../lib/stage.js';

const SETTLED_MS = 2_000;

export const rollingUpgrade: Experiment = {
  name: 'rolling-upgrade',
  hypothesis: 'Both members are rolled out in another version at the same time, and back again, and no query notices.',
  steadyState: STEADY,
  fault: 'The images of both DaemonSets are set to another version, and when that is rolled out, back to the one of before.',
  expected: GOES_ON,
  abort: { afterSeconds: 400, lostMost: 3_000 },
  needs: ['other-images'],
  run: async (stage) => {
    await roll(stage, stage.target.options.otherImages!, 'other version');
    await stage.goesOn('with the other version');
    await stage.calm(SETTLED_MS);
    await roll(stage, stage.images, 'version of before');
    await stage.goesOn('with the version of before');
  },
  undo: async (stage) => {
    for (const role of ROLES) await stage.target.setImage(role, stage.images[role]);
    await stage.whole();
  },
};

async function roll(stage: Stage, images: Readonly<Record<Role, string>>, what: string): Promise<void> {
  stage.fault(`both to the ${what}`);
  for (const role of ROLES) await stage.target.setImage(role, images[role]);
  await stage.whole();
  for (const role of ROLES) {
    const pods = await stage.podsSoon(role, `pods of ${images[role]} alone`, (all) => all.length > 0 && all.every(({ spec }) => spec.containers[0].image === images[role]));
    stage.prove(`every ${role} is ${images[role]}`, true, pods.map(({ metadata }) => metadata.name).join(', '));
  }
}

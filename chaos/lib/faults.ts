/** Faults that more than one drill stages. */
import type { Launch, Role } from '#harness/pair.js';
import { peerOf } from './stage.js';
import type { Stage } from './stage.js';

/** Killed, answered for, started again, redundant again. */
export async function underKill(stage: Stage, role: Role, how?: Launch): Promise<void> {
  await stage.answeredFor(role, async () => {
    await stage.kill(role);
    await stage.calm();
    stage.prove(`${peerOf(role)} reads the sockets of ${role}`, await stage.metric(peerOf(role), 'adopted') === 1);
  });
  await stage.launch(role, how);
  await stage.redundant();
}

const KILLS_MOST = 3;

/** Killed once; again only if the member happened to have nothing under way, which would prove nothing. In the control run nothing is ever taken, so that cannot be told: it kills as often as it may. */
export async function underTellingKill(stage: Stage, role: Role): Promise<void> {
  const isUntold = (): boolean => stage.taken === 0 || stage.options.isControl;
  for (let kills = 0; kills === 0 || (isUntold() && kills < KILLS_MOST); kills++) await underKill(stage, role);
}

/** Each of the two in turn, `count` times in all, redundant in between. */
export async function alternating(stage: Stage, count: number, fault: (role: Role, index: number) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index++) {
    await fault(index % 2 === 0 ? 'agent' : 'dns-proxy', index);
    await stage.redundant();
  }
}

const HANG_MS = 400;
const STOP_POINTS = ['after-receive', 'mid-batch', 'before-send', 'after-send'] as const;

/** Hung from outside, then at code points, where no signal from outside would hit. */
export async function hangOften(stage: Stage, role: Role): Promise<void> {
  for (let time = 0; time < stage.options.repeat; time++) {
    await stage.answeredFor(role, async () => {
      await stage.hang(role, HANG_MS);
      await stage.calm();
    });
    await stage.redundant();
  }
  for (const point of STOP_POINTS) {
    await stage.drain(role);
    const passes = passesOf(stage);
    await stage.launch(role, { environment: { TANDEM_FAULTS: `stop-at=${point}:${String(passes)}` } });
    await stage.answeredFor(role, async () => {
      await stage.resumeAfter(role, HANG_MS, `${role} stops itself at ${point}`);
      await stage.calm();
    });
    await stage.redundant();
  }
  await stage.drain(role);
  await stage.launch(role);
  await stage.redundant();
}

const PASSES_LEAST = 500;
const PASSES_SPREAD = 1_000;

/** How often a code point is passed before the fault planted there comes: some tenths of a second under load, never the same. */
export function passesOf(stage: Stage): number {
  return PASSES_LEAST + Math.floor(stage.random() * PASSES_SPREAD);
}

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROLES } from '#harness/pair.js';
import type { Role } from '#harness/pair.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import type { Stage } from '../lib/stage.js';

export const corruptState: Drill = {
  name: 'corrupt-state',
  hypothesis: 'A member that finds its state broken says so, takes policy and mappings from its peer, and serves.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: 'Each member in turn is killed, every file of its state is overwritten in its middle, and it is started again.',
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 5_000 },
  run: async (stage) => {
    for (const role of ROLES) await corrupt(stage, role);
  },
};

async function corrupt(stage: Stage, role: Role): Promise<void> {
  const { policy } = await stage.pair.status(role);
  await stage.kill(role);
  const files = filesIn(join(stage.pair.folder, role));
  for (const path of files) breakFile(path);
  stage.prove(`${role} had state to break`, files.length > 0, files.join(', '));
  await stage.launch(role);
  await stage.redundant();
  const { output } = stage.pair.member(role);
  stage.prove(`${role} says that its state is broken`, /state cannot be used|cannot be read|damaged|corrupt/i.test(output), output.slice(0, 500));
  stage.prove(`${role} enforces the policy again`, (await stage.pair.status(role)).policy.hash === policy.hash);
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort();
}

const BROKEN_BYTES = 64;

function breakFile(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  for (let at = middle; at < Math.min(bytes.length, middle + BROKEN_BYTES); at++) bytes[at] ^= 0xff;
  writeFileSync(path, bytes);
}

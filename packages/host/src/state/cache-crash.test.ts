import { spawn } from 'node:child_process';
import { readdirSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { FqdnCache, Mapping } from '@tandem/core';
import type { DiskPoint } from './cache-log.js';
import { CacheRig, cleanAt, isCleanAt, mappingOfChange, NOW } from './testing/cache-rig.js';

const WRITER = fileURLToPath(new URL('testing/cache-writer.js', import.meta.url));
const RANDOM_CYCLES = 10;
/** Points passed in the first second or so of a writer. */
const POINTS_SOON = 60;
const POINTS: readonly DiskPoint[] = [
  'log created', 'log begun', 'log named', 'frame written', 'frame durable',
  'checkpoint created', 'checkpoint written', 'checkpoint durable', 'checkpoint renamed', 'checkpoint published', 'old removed',
];

interface Said {
  /** The last change that is durable. */
  readonly durable: number;
  /** Path → bytes that are durable. */
  readonly synced: ReadonlyMap<string, number>;
  readonly named: ReadonlySet<string>;
}

/** Runs a writer until it has killed itself. */
async function crash(dir: string, point: DiskPoint | 'any', nth: number, first: number): Promise<Said> {
  const env = { ...process.env };
  delete env.NODE_OPTIONS;
  const child = spawn(process.execPath, [WRITER, dir, point, String(nth), String(first)], { stdio: ['ignore', 'pipe', 'pipe'], env });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()));
  const signal = await new Promise((resolve) => child.on('close', (_, by) => resolve(by)));
  if (signal !== 'SIGKILL') throw new Error(`the writer was not killed at ${point}: ${complaint}`);
  const lines = output.split('\n').map((line) => line.split(' '));
  return {
    durable: Number(lines.findLast(([kind]) => kind === 'D')?.[1] ?? -1),
    synced: new Map(lines.filter(([kind]) => kind === 'S').map(([, path, bytes]) => [path, Number(bytes)])),
    named: new Set(lines.filter(([kind]) => kind === 'P').map(([, path]) => path)),
  };
}

/** What a power cut may take: bytes that were not synced, and names in a folder that was not. */
function loseUnsynced(dir: string, said: Said, known: ReadonlySet<string>, share: number): void {
  for (const entry of readdirSync(dir)) {
    const path = join(dir, entry);
    if (known.has(entry)) continue;
    const aside = path.endsWith('.checkpoint') ? `${path}.new` : path;
    const synced = said.synced.get(aside) ?? 0;
    truncateSync(path, synced + Math.floor((statSync(path).size - synced) * share));
    if (said.named.has(path)) continue;
    if (path.endsWith('.checkpoint')) renameSync(path, aside);
    else if (path.endsWith('.log') && share < 0.5) rmSync(path);
  }
}

/** Those of the durable changes that the cache does not show as it must. */
function missing(cache: FqdnCache, durable: readonly number[]): string[] {
  const latest = new Map<string, Mapping>([...cache.mappings()].map((mapping) => [mapping.name, mapping]));
  const wrong: string[] = [];
  for (const number of durable) {
    if (isCleanAt(number)) {
      const { matchPattern, atMs } = cleanAt(number);
      if ((latest.get(matchPattern!)?.lookupMs ?? Infinity) <= atMs) wrong.push(`${number}: ${matchPattern} came back`);
    } else {
      const { name, lookupMs } = mappingOfChange(number);
      if ((latest.get(name)?.lookupMs ?? 0) < lookupMs && !isCleanedSince(name, number, cache)) wrong.push(`${number}: ${name} is gone`);
    }
  }
  return wrong;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}

function isCleanedSince(name: string, number: number, cache: FqdnCache): boolean {
  return cache.pastCleans().some(({ matchPattern, atMs }) => matchPattern === name && atMs >= NOW.monoMs + number);
}

for (const [index, point] of POINTS.entries()) {
  for (const nth of [1, 2]) {
    t.test(`killed at "${point}" (time ${nth}), and what was not synced lost: everything durable is there`, async (t) => {
      const rig = new CacheRig();
      t.teardown(() => rig.remove());
      const said = await crash(rig.dir, point, nth, 1);
      for (const share of [1, (index % 3) / 3 + 0.1, 0]) {
        loseUnsynced(rig.dir, said, new Set(), share);
        const { cache, log } = rig.look();
        t.strictSame(missing(cache, range(1, said.durable)), []);
        t.strictSame(log.errors, [], 'a crash leaves nothing that is set aside');
      }
      t.comment(`durable: ${said.durable}`);
    });
  }
}

t.test('killed again and again at random points, each time what was durable is there, and files do not pile up', async (t) => {
  const rig = new CacheRig();
  t.teardown(() => rig.remove());
  let first = 1;
  const durable: number[] = [];
  for (let cycle = 0; cycle < RANDOM_CYCLES; cycle++) {
    const known = new Set(cycle === 0 ? [] : readdirSync(rig.dir));
    const nth = 1 + Math.floor(Math.random() * POINTS_SOON);
    const said = await crash(rig.dir, 'any', nth, first);
    durable.push(...range(first, said.durable));
    const share = Math.random();
    loseUnsynced(rig.dir, said, known, share);
    const { cache, log } = rig.look();
    t.strictSame(missing(cache, durable), [], `cycle ${cycle}, point ${nth}, share ${share}, durable ${durable.length}`);
    t.strictSame(log.errors, []);
    first += 5000;
  }
  const files = readdirSync(rig.dir);
  t.ok(files.length < 40, files.join(' '));
});

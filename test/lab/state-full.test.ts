/** Both members on one small file system that is full for a while: needs root, for the mount. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import type { Pair, Role } from '../harness/pair.js';
import { until } from '../harness/until.js';
import { addressA, buildAnswer, buildQuery, RCODE, readMessage, TYPE } from '../harness/wire.js';
import { startBench } from '../pair/start.js';
import { temporaryFolder } from './start.js';

const DISK_BYTES = 8 << 20;
/** More than fits into what the last page of a log has left. */
const NAMES = 400;
const TTL_SECONDS = 3_600;
/** A write is tried again every ten seconds. */
const DEADLINE_MS = 40_000;

async function ask(pair: Pair, names: readonly string[]): Promise<number[]> {
  const client = await UdpClient.open(CLIENT_A, pair.server);
  const codes: number[] = [];
  for (const name of names) codes.push(readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode);
  client.close();
  return codes;
}

function namesOf(prefix: string): string[] {
  return Array.from({ length: NAMES }, (_, index) => `${prefix}${String(index)}.a.test`);
}

/** Until the system refuses. */
function fill(path: string): void {
  for (let size = 1 << 16; size >= 1; size >>= 1) {
    try {
      for (;;) appendFileSync(path, new Uint8Array(size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}

async function failed(pair: Pair, role: Role): Promise<boolean> {
  return /^tandem_state_write_failed\{[^}]*\} 1$/m.test((await pair.http(role, '/metrics')).body);
}

async function cached(pair: Pair, role: Role): Promise<number> {
  return (JSON.parse((await pair.http(role, '/api/v1/fqdn/cache')).body) as unknown[]).length;
}

t.test('a full disk stops neither answers nor the exchange, is told, and once there is room all is on it', async (t) => {
  const disk = temporaryFolder(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(DISK_BYTES)}`, 'tandem-lab', disk]);
  t.teardown(() => execFileSync('umount', ['--lazy', disk]));
  // Where the pair makes its folders.
  process.env.TMPDIR = disk;
  const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [{ ...addressA('192.0.2.7'), ttlSeconds: TTL_SECONDS }]));
  const filler = join(disk, 'filler');
  t.ok((await ask(pair, namesOf('before'))).every((code) => code === RCODE.noError));
  fill(filler);
  t.ok((await ask(pair, namesOf('full'))).every((code) => code === RCODE.noError), 'all are answered');
  for (const role of ROLES) {
    await until(`${role} to say that its disk is full`, DEADLINE_MS, async () => ((await failed(pair, role)) ? true : null));
    t.match((await pair.status(role)).policy.problems, [/cannot be written: a restart would start from older state/]);
    await until(`${role} to know all`, DEADLINE_MS, async () => ((await cached(pair, role)) === 2 * NAMES ? true : null));
  }
  rmSync(filler);
  for (const role of ROLES) await until(`${role} to have written all`, DEADLINE_MS, async () => ((await failed(pair, role)) ? null : true));
  for (const role of ROLES) pair.member(role).process.kill('SIGKILL');
  for (const role of ROLES) await pair.member(role).exited;
  for (const role of ROLES) {
    pair.members.clear();
    pair.launch(role);
    await pair.ready(role);
    t.equal(await cached(pair, role), 2 * NAMES, `${role} alone has all`);
    await pair.member(role).stop();
  }
});

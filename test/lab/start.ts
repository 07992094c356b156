/** A pair in front of the fast upstream, for load and attack; both end with the test. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { residentMb } from '../bench/cpu.js';
import { ownAddress } from '../harness/address.js';
import { startNative } from '../harness/native.js';
import { Pair, ROLES } from '../harness/pair.js';
import type { PairOptions, Role } from '../harness/pair.js';

/** MB (10^6 bytes) that each may take. */
const RESIDENT_MB_MAX: Readonly<Record<Role, number>> = { agent: 200, 'dns-proxy': 160 };

export async function startLoaded(t: Test, options: Pick<PairOptions, 'manifests'> & Partial<PairOptions>): Promise<Pair> {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`]);
  t.teardown(() => upstream.child.stop());
  const pair = await Pair.start({ upstreams: [{ address: ownAddress, port: upstream.port }], ...options });
  t.teardown(async () => {
    if (!t.passing()) t.comment(pair.output());
    // The test has ended: an assertion would come too late, an error still fails it.
    for (const [role, { code, signal }] of await pair.stop()) {
      if (code !== 0) throw new Error(`${role} did not end cleanly: code ${String(code)}, signal ${String(signal)}`);
    }
  });
  return pair;
}

/** Both live, and neither has grown beyond its bound. */
export function checkAlive(t: Test, pair: Pair, after: string): void {
  for (const role of ROLES) {
    const child = pair.member(role);
    t.equal(child.exit, null, `${role} lives after ${after}`);
    if (child.exit !== null) continue;
    const mb = residentMb(child.pid);
    t.comment(`${role} after ${after}: ${mb.toFixed(0)} MB resident`);
    t.ok(mb <= RESIDENT_MB_MAX[role], `${role} within ${String(RESIDENT_MB_MAX[role])} MB`);
  }
}

export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-lab-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

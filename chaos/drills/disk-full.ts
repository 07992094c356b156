import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dnsPolicy } from '#harness/manifests.js';
import { until } from '#harness/until.js';
import { NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { peerOf } from '../lib/stage.js';

const DISK_BYTES = 4 << 20;
const DEADLINE_MS = 15_000;

export const diskFull: Drill = {
  name: 'disk-full',
  hypothesis: 'A member whose disk is full answers and enforces on, says so loudly, and is none the worse for a restart: it takes what it lacks from its peer.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `agent's state folder is a file system of ${String(DISK_BYTES >> 20)} MiB, in a mount namespace of its own, which is filled to the last byte; then policy changes, and agent is killed and started again.`,
  expected: NOTHING_LOST,
  abort: { afterSeconds: 60, lostMost: 5_000 },
  needs: ['root'],
  launch: (stage) => {
    const state = join(stage.pair.folder, 'agent');
    const script = 'mkdir -p "$0" && mount -t tmpfs -o mode=0700,size="$1" tandem-drill "$0" && shift && exec "$@"';
    return Promise.resolve({ agent: { prefix: ['unshare', '--mount', 'sh', '-c', script, state, String(DISK_BYTES)] } });
  },
  run: async (stage) => {
    const { pair } = stage;
    const fill = `/proc/${String(pair.member('agent').pid)}/root${join(pair.folder, 'agent')}/fill`;
    const written = fillUp(fill);
    stage.fault('disk of agent full');
    stage.prove('the disk is full', written > 0, `${String(written)} bytes written`);
    const { revision } = (await pair.status('agent')).policy;
    pair.writeManifest('policy-b.json', dnsPolicy('policy-b', { app: 'b' }, ['*.new.test']));
    await until('both to enforce the new policy', DEADLINE_MS, async () => ((await pair.status('dns-proxy')).policy.revision !== revision ? true : null));
    await until('agent to say that its disk is full', DEADLINE_MS, () => (/ENOSPC|no space/i.test(pair.member('agent').output) ? true : null));
    stage.prove('agent says that its disk is full', true);
    await stage.bothAnswer();
    await stage.answeredFor('agent', async () => {
      await stage.kill('agent');
      await stage.calm();
    });
    await stage.launch('agent');
    await stage.redundant();
    const [a, b] = await Promise.all([pair.status('agent'), pair.status(peerOf('agent'))]);
    stage.prove('both enforce one policy', a.policy.hash === b.policy.hash);
  },
};

/** Until the system refuses; returns the bytes that it took. */
function fillUp(path: string): number {
  let bytes = 0;
  for (let size = 1 << 20; size >= 1; size >>= 1) {
    try {
      for (;;) {
        writeFileSync(path, new Uint8Array(size), { flag: 'a' });
        bytes += size;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') {
        rmSync(path, { force: true });
        throw error;
      }
    }
  }
  return bytes;
}

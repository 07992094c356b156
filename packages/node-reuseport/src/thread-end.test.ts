/** A thread that is ended in the midst of a call ends alone, and not the process: a member that cannot start, or go on, ends its workers so. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';

const STRIDE = 8;
/** Of ten ends three met the receive. */
const ENDS = 20;

t.test('a thread may end at any moment of the addon\'s load', async (t) => {
  const script = fileURLToPath(new URL('testing/loading-worker.js', import.meta.url));
  let endedWithin = 0;
  for (let at = 0; ; at += STRIDE) {
    const worker = new Worker(script, { workerData: at });
    const errors: unknown[] = [];
    worker.on('error', (error) => errors.push(error));
    const [code] = await once(worker, 'exit') as [number];
    t.same(errors, [], `at ${String(at)}`);
    if (code === 0 || errors.length > 0) break;
    endedWithin += 1;
  }
  t.ok(endedWithin > 2, `${String(endedWithin)} ended in the midst of it`);
});

t.test('a process may end while a thread of it receives', (t) => {
  const script = fileURLToPath(new URL('testing/receiving-worker.js', import.meta.url));
  const environment = { ...process.env, NODE_OPTIONS: '' };
  const ends = Array.from({ length: ENDS }, () => spawnSync(process.execPath, [script], { env: environment }));
  for (const { status, signal, stderr } of ends) t.same({ status, signal }, { status: 3, signal: null }, String(stderr).slice(0, 300));
  t.end();
});

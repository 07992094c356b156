/** A thread that is ended while it loads the addon ends alone, and not the process: a member that cannot start ends its workers so. */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';

const STRIDE = 8;

t.test('a thread may end at any moment of the addon\'s load', async (t) => {
  const script = fileURLToPath(new URL('testing/loading-worker.js', import.meta.url));
  let endedWithin = 0;
  for (let at = 0; ; at += STRIDE) {
    const worker = new Worker(script, { workerData: at });
    const errors: unknown[] = [];
    worker.on('error', (error) => errors.push(error));
    const [code] = await once(worker, 'exit') as [number];
    t.same(errors, [], `at ${String(at)}`);
    if (code === 0) break;
    endedWithin += 1;
  }
  t.ok(endedWithin > 2, `${String(endedWithin)} ended in the midst of it`);
});

import { Worker } from 'node:worker_threads';
import t from 'tap';
import { setThreadSlice, threadSlice } from './index.js';

const SLICE_NS = 300_000;

/** What a worker thread sees once it has asked for SLICE_NS. */
const sliceOfWorker = async (): Promise<number> => {
  const module = JSON.stringify(new URL('index.js', import.meta.url).href);
  const script = `const { setThreadSlice, threadSlice } = await import(${module});
    const { parentPort } = await import('node:worker_threads');
    const result = setThreadSlice(${String(SLICE_NS)});
    parentPort.postMessage(result === 0 ? threadSlice() : result);`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
};

t.test('a thread gets the slice that it asks for, and no other thread does', async (t) => {
  const before = threadSlice();
  const slice = await sliceOfWorker();
  // A kernel that does not know slices says 0.
  t.equal(slice, before === 0 ? 0 : SLICE_NS);
  t.equal(threadSlice(), before);
});

t.test('a slice that the kernel would bend is refused', (t) => {
  for (const slice of [0, 99_999, 100_000_001, 1.5, NaN]) t.throws(() => setThreadSlice(slice), RangeError, String(slice));
  t.end();
});

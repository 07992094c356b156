/**
 * A process of two threads with a journal each, whose descriptors are 3 and 4. Ends by SIGSEGV in the thread that its argument names: first,
 * second, or main, which has none.
 */
import { argv } from 'node:process';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Journal, signalThread } from '../index.js';

const firstFd = 3;
const names = ['first', 'second'];

if (isMainThread) {
  const deadly = argv[2];
  const threads = names.map((_, i) => new Worker(new URL(import.meta.url), { workerData: firstFd + i }));
  await Promise.all(threads.map((thread) => new Promise((resolve) => thread.once('message', resolve))));
  if (deadly === 'main') signalThread('SIGSEGV');
  threads[names.indexOf(deadly)].postMessage('die');
} else {
  Journal.open(workerData as number).sayWhenDying();
  parentPort?.once('message', () => signalThread('SIGSEGV'));
  parentPort?.postMessage('ready');
}

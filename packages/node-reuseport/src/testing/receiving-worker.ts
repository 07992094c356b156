/** A process that ends with code 3 while a worker thread of it receives as fast as it can. */
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { receiveWithFds, sendWithFds, unixSocketPair } from '../index.js';

const BYTES = 60_000;
const FDS_MAX = 4;

if (isMainThread) {
  new Worker(new URL(import.meta.url)).on('message', () => setTimeout(() => process.exit(3), 5));
} else {
  const [to, from] = unixSocketPair();
  const data = new Uint8Array(BYTES);
  parentPort!.postMessage('begun');
  for (;;) {
    sendWithFds(to, data, []);
    receiveWithFds(from, BYTES, FDS_MAX);
  }
}

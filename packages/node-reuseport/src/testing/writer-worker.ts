/** A worker thread with a NetlinkWriter and a Readable of its own, which it does not close. Ends as `workerData` says. */
import { parentPort, workerData } from 'node:worker_threads';
import { completionStride, NETLINK, NetlinkWriter, Readable } from '../index.js';
import { batch, setElements } from './netlink-messages.js';

const writer = new NetlinkWriter({ protocol: NETLINK.netfilter, capacity: 64, bytesMax: 4096 });
const into = new Int32Array(completionStride);
const alive = setInterval(() => undefined, 1000);
const request = batch(setElements('add', 1, { table: 'w', set: 's' }, [0x0d000001]));

new Readable(writer.fd, () => {
  if (writer.completions(into) === 0) return;
  parentPort?.postMessage(`done ${String(into[0])} ${String(into[1])}`);
  // Busy at its end.
  for (let i = 0; i < 32; i++) writer.submit(request, 2);
  if (workerData === 'exit') process.exit(0);
  if (workerData === 'return') clearInterval(alive);
});
writer.submit(request, 1);

/**
 * A worker thread with a NetlinkWriter and a Readable of its own, which it does not close, and with questions under way. Ends as
 * `workerData` says.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { completionStride, dumpConnections, NETLINK, netlinkExchange, NetlinkWriter, Readable } from '../index.js';
import { batch, Flag, linkInfo, message, setElements } from './netlink-messages.js';

const writer = new NetlinkWriter({ protocol: NETLINK.netfilter, capacity: 64, bytesMax: 4096 });
const into = new Int32Array(completionStride);
const alive = setInterval(() => undefined, 1000);
const RTM_GETLINK = 18;
const questions = 200;
const dumps = 8;
const request = batch(setElements('add', 1, { table: 'w', set: 's' }, [0x0d000001]));

let isEnding = false;

new Readable(writer.fd, () => {
  if (writer.completions(into) === 0 || isEnding) return;
  isEnding = true;
  for (let i = 0; i < questions; i++) {
    void netlinkExchange({ protocol: NETLINK.route, request: message(RTM_GETLINK, Flag.DUMP, 1, linkInfo()), deadlineMs: 1000, bytesMax: 1 << 20 });
  }
  for (let i = 0; i < dumps; i++) void dumpConnections({ mark: 0, mask: 0, deadlineMs: 1000 });
  parentPort?.postMessage(`done ${String(into[0])} ${String(into[1])}`);
  // Busy at its end.
  for (let i = 0; i < 32; i++) writer.submit(request, 2);
  if (workerData === 'exit') process.exit(0);
  if (workerData === 'return') clearInterval(alive);
});
writer.submit(request, 1);

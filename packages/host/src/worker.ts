/**
 * The data plane's thread: one loop over the reactor, the query path in the middle. It answers queries whatever the
 * control thread does.
 *
 * It begins with the one message that says what for (`WorkerData`); until then its modules are loaded, while the control thread has other things to do.
 * Invariant: nothing here waits but `Reactor.step`. An error that escapes ends the thread, and with it the process.
 */
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { parentPort, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';
import { setThreadSlice } from 'node-reuseport';
import { DataPlaneLoop } from './dataplane/loop.js';
import type { FromWorker, ToWorker, WorkerData } from './dataplane/messages.js';
import type { OpenerModule } from './dataplane/opener.js';

/**
 * About what a turn with a batch takes, and the shortest that the kernel grants: since Linux 6.12 who has a shorter slice than what runs, runs
 * at once when it is woken. So no query waits until the control thread, or the engine's threads, are at the end of theirs. Where the kernel
 * refuses it, they do.
 */
const SLICE_NS = 100_000;
/**
 * A thread that has had more than its share gets the core no sooner than that is made up for, and nothing looks for it before a tick (4 ms) or the end
 * of what runs. Twice the share of a thread of niceness 0 halves what is to be made up for, and with it the waits of more than 0.3 ms
 * (docs/performance.md).
 * Relative to what the process was started with.
 */
const NICENESS = -3;
const NICENESS_MIN = -20;

/**
 * Of this thread, and of those that it starts (the netlink writer, which answers wait for): to Linux, process 0 is the calling thread (setpriority(2)).
 * Without CAP_SYS_NICE its niceness remains as it is.
 */
function comeFirst(): void {
  setThreadSlice(SLICE_NS);
  try {
    setPriority(0, Math.max(NICENESS_MIN, getPriority(0) + NICENESS));
  } catch {
    // What follows is slower at times, not wrong.
  }
}

async function main(port: MessagePort): Promise<void> {
  // Nobody listens to what comes between this message and the loop: the control thread says nothing before it hears of `listening`.
  const [data] = await once(port, 'message') as [WorkerData];
  const say = (message: FromWorker): void => {
    port.postMessage(message);
  };
  let loop: DataPlaneLoop;
  try {
    comeFirst();
    const opener = data.opener === null ? null : (await import(data.opener) as OpenerModule).createOpener(data.settings);
    loop = new DataPlaneLoop(data, say, opener);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    say({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
    return;
  }
  loop.run(() => (receiveMessageOnPort(port) as { readonly message: ToWorker } | undefined)?.message ?? null);
  // Nothing listens on the port any more: the thread ends.
  port.close();
}

void main(parentPort!);

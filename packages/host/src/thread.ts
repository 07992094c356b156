/**
 * The thread of a data plane. A daemon begins its first one before all else, so that both threads load their modules at the same time, which
 * is most of what a start takes. So this module imports nothing of ours.
 */
import { Worker } from 'node:worker_threads';

let begun: Worker | null = null;

/** Begins the thread that the first call of `dataPlaneThread` returns. */
export function beginDataPlane(): void {
  begun ??= create();
}

/** A thread that loads its modules, and waits for its `WorkerData`. It keeps no process alive until somebody calls its `ref`. */
export function dataPlaneThread(): Worker {
  const thread = begun ?? create();
  begun = null;
  return thread;
}

function create(): Worker {
  const thread = new Worker(new URL('./worker.js', import.meta.url), { execArgv: [] });
  thread.unref();
  return thread;
}

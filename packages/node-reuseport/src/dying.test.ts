/** What the journals of a process say that dies of a fault. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Journal } from './index.js';

const program = fileURLToPath(new URL('testing/dying-threads.js', import.meta.url));

/** What is said in the journal of each thread once the process has died in `thread`. */
async function saidAfterFaultOf(thread: string): Promise<number[]> {
  const journals = [0, 1].map(() => Journal.create({ slots: 4, batch: 1 }));
  const env = { ...process.env };
  // The test runner's hooks are not for it.
  delete env.NODE_OPTIONS;
  const child = spawn(process.execPath, [program, thread], { stdio: ['ignore', 'inherit', 'inherit', ...journals.map(({ fd }) => fd)], env });
  const [, signal] = await once(child, 'exit') as [number | null, string | null];
  // With AddressSanitizer's own handler behind it, SIGABRT.
  if (signal !== 'SIGSEGV' && signal !== 'SIGABRT') throw new Error(`ended by ${String(signal)}`);
  const said = journals.map(({ buffer, layout }) => new Uint32Array(buffer)[layout.dyingOffset / 4]);
  for (const journal of journals) journal.release();
  return said;
}

t.test('a fault is said in the journal of the thread that it is of', async (t) => {
  t.same(await saidAfterFaultOf('first'), [1, 0]);
  t.same(await saidAfterFaultOf('second'), [0, 1]);
});

t.test('a fault of a thread that has none is said in all: anybody may have caused it', async (t) => {
  t.same(await saidAfterFaultOf('main'), [1, 1]);
});

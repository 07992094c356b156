/** Entry of the `tandem` program; see `program.ts`. */
import { processIo } from './io.js';
import { runCli } from './program.js';

// A reader that has seen enough (`tandem cache list | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit();
  throw error;
});

await runCli(process.argv.slice(2), processIo());

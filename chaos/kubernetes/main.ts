/** `npm run chaos:kubernetes -- NAME`: see chaos/kubernetes/README.md. */
import { runMain } from './lib/command.js';
import { undoWhenInterrupted } from './lib/interruption.js';

undoWhenInterrupted();
process.exitCode = await runMain(process.argv.slice(2));

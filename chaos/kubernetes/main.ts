/** `npm run chaos:kubernetes -- NAME`: see chaos/kubernetes/README.md. */
import { runMain } from './lib/command.js';

process.exitCode = await runMain(process.argv.slice(2));

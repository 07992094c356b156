/**
 * `tandem drill` and `npm run drill`: lists the drills, or runs one. Exit code 0 only when every expected figure held and
 * the fault was proven; 1 when not; 64 for wrong use; 69 when the drill needs what is not to be had here.
 */
import { runMain } from './lib/command.js';

process.exitCode = await runMain(process.argv.slice(2));

/**
 * `npm run drills:short`: the drills that every change must pass, at 5,000 queries a second, in about two minutes. Prints
 * each table, and `N passed, N failed` at its end, which .ci/run adds up.
 */
import { runMain } from './lib/command.js';

const SHORT: readonly (readonly string[])[] = [
  ['kill-agent'], ['kill-agent', '--control'], ['kill-proxy'], ['kill-alternating', '--repeat', '4'], ['hang-agent', '--repeat', '1'], ['query-of-death'], ['drain', '--repeat', '2'],
  ['upstream-silent'],
];

let passed = 0;
for (const args of SHORT) {
  if (await runMain(args) === 0) passed++;
}
process.stdout.write(`${String(passed)} passed, ${String(SHORT.length - passed)} failed\n`);
process.exitCode = passed === SHORT.length ? 0 : 1;

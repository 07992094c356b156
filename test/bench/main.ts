/**
 * `npm run bench`: Tandem against a relay that does nothing else and against other DNS proxies, in one interleaved run. Prints tables and how
 * the goals are met, and writes bench-results/WHEN.json and WHEN.html. Options: options.ts. What is measured where: cases.ts.
 *
 * Exit code 0: measured, whether goals are met or not; 1: Tandem or the relay lost a query or answered wrongly; 64: usage; 69: something is missing.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from '../harness/repository.js';
import { machine } from './machine.js';
import { planOf, UsageError } from './options.js';
import { htmlOf } from './report/html.js';
import { faultsOf, FORMAT } from './report/results.js';
import type { Results } from './report/results.js';
import { tableOf } from './report/table.js';
import { conditionsOf } from './report/words.js';
import { runCases } from './run.js';

/** What they lose is theirs; it stands in the table. */
const OTHERS = ['dnsdist', 'unbound', 'dnsmasq', 'go'];

async function main(): Promise<number> {
  const plan = planOf(process.argv.slice(2));
  const began = new Date();
  const on = machine();
  const cases = await runCases(plan, (line) => process.stderr.write(`bench: ${line}\n`));
  const { member, rounds, seconds } = plan;
  const results: Results = { format: FORMAT, when: began.toISOString(), tookSeconds: Math.round((Date.now() - began.getTime()) / 1e3), machine: on, member, rounds, seconds, cases };
  process.stdout.write(`${tableOf(results)}\n${conditionsOf(results).join('\n')}\n`);
  const folder = join(repositoryRoot, 'bench-results');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, results.when.replaceAll(':', '-'));
  writeFileSync(`${path}.json`, `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(`${path}.html`, htmlOf(results));
  process.stdout.write(`\n${path}.json\n${path}.html\n`);
  const faults = faultsOf(results, OTHERS);
  for (const fault of faults) process.stderr.write(`bench: ${fault}\n`);
  return faults.length === 0 ? 0 : 1;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof UsageError ? 64 : 69;
});

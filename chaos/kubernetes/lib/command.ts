/** The command line of the experiments: which one, on which cluster, and what comes of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { EXIT } from '../../lib/command.js';
import { boundText } from '../../lib/drill.js';
import { reportOf } from '../../lib/report.js';
import { complaintsOf, statement, tableOf } from '../../lib/table.js';
import { EXPERIMENTS } from './catalogue.js';
import { targetFrom } from './cluster-file.js';
import type { Experiment, Need } from './experiment.js';
import { runOnce } from './run.js';
import { standInSite } from './stand-in.js';
import type { Site } from './stand-in.js';

const USAGE = `usage: npm run chaos:kubernetes -- --list
       npm run chaos:kubernetes -- NAME --stand-in [--nodes 1|2] [--rate N] [-o table|json] [--report FILE.html]
       npm run chaos:kubernetes -- NAME --cluster FILE.json [--rate N] [-o table|json] [--report FILE.html]
`;
const DEFAULT_RATE = 3_000;
const RATE_MOST = 100_000;
const NODES_MOST = 2;

class UsageError extends Error {}

const OPTIONS = {
  list: { type: 'boolean', default: false }, 'stand-in': { type: 'boolean', default: false }, cluster: { type: 'string' }, nodes: { type: 'string' }, rate: { type: 'string' },
  output: { type: 'string', short: 'o', default: 'table' }, report: { type: 'string' },
} as const;

interface Plan {
  readonly experiment: Experiment;
  readonly rate: number;
  /** null: the stand-in. */
  readonly clusterFile: string | null;
  /** Of the stand-in. */
  readonly nodes: number;
  readonly isJson: boolean;
  readonly report: string | null;
}

export async function runMain(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parse(argv);
    if (values.list) {
      process.stdout.write(EXPERIMENTS.map((one) => `${statement(one)}\n  expected      ${one.expected.map(boundText).join(', ')}\n`).join('\n'));
      return EXIT.ok;
    }
    return await runPlan(planOf(values, positionals));
  } catch (error) {
    process.stderr.write(`chaos: ${error instanceof Error ? error.message : String(error)}\n${error instanceof UsageError ? USAGE : ''}`);
    return error instanceof UsageError ? EXIT.usage : EXIT.unavailable;
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function planOf(values: ReturnType<typeof parse>['values'], positionals: readonly string[]): Plan {
  const experiment = EXPERIMENTS.find(({ name }) => name === positionals[0]);
  if (positionals.length !== 1) throw new UsageError('the name of one experiment is expected');
  if (experiment === undefined) throw new UsageError(`there is no experiment ${JSON.stringify(positionals[0])}; there are ${EXPERIMENTS.map(({ name }) => name).join(', ')}`);
  if (values.output !== 'table' && values.output !== 'json') throw new UsageError('--output is table or json');
  // No cluster is taken by default: the one that kubectl happens to point at may be one that people live on.
  if (values['stand-in'] === (values.cluster !== undefined)) throw new UsageError('either --stand-in or --cluster FILE.json is expected');
  const rate = Number(values.rate ?? DEFAULT_RATE);
  if (!Number.isInteger(rate) || rate < 1 || rate > RATE_MOST) throw new UsageError(`--rate must be a whole number from 1 to ${String(RATE_MOST)}`);
  const nodes = Number(values.nodes ?? NODES_MOST);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > NODES_MOST || (values.nodes !== undefined && !values['stand-in'])) throw new UsageError('--nodes is 1 or 2, and of --stand-in');
  return { experiment, rate, nodes, clusterFile: values.cluster ?? null, isJson: values.output === 'json', report: values.report ?? null };
}

async function siteOf({ clusterFile, experiment, nodes }: Plan): Promise<Site> {
  if (clusterFile === null) return standInSite(experiment, nodes);
  return { target: targetFrom(readFileSync(clusterFile, 'utf8')), tellMore: () => Promise.resolve(''), stop: () => Promise.resolve() };
}

function missing({ needs = [] }: Experiment, { target }: Site): Need | null {
  const there: Readonly<Record<Need, boolean>> = { cut: target.options.cut !== null, 'other-images': target.options.otherImages !== null };
  return needs.find((need) => !there[need]) ?? null;
}

async function runPlan(plan: Plan): Promise<number> {
  const { experiment, rate, isJson } = plan;
  const say = (text: string): void => {
    if (!isJson) process.stdout.write(`${text}\n`);
  };
  say(`${statement(experiment)}\n`);
  const site = await siteOf(plan);
  try {
    const need = missing(experiment, site);
    if (need !== null) throw new Error(`${experiment.name}: the cluster's file says nothing of ${need === 'cut' ? '"cut"' : '"otherImages"'}, which it needs`);
    const result = await runOnce(experiment, site.target, rate);
    say(tableOf([result]));
    for (const line of complaintsOf([result])) say(`  ${line}`);
    if (!result.passed) say(await site.tellMore());
    const { figures, proofs, verdicts, aborted, passed } = result;
    process.stdout.write(`${JSON.stringify(isJson ? { experiment: experiment.name, rate, passed, figures, verdicts, proofs, aborted } : { experiment: experiment.name, rate, passed, ...figures }, null, isJson ? 2 : 0)}\n`);
    if (plan.report !== null) writeFileSync(plan.report, reportOf(experiment, [result]));
    return passed ? EXIT.ok : EXIT.failed;
  } finally {
    await site.stop();
  }
}

/** `npm run scenario -- 1..4`: tells a scenario step by step. Exit codes: 0 all as expected, 1 not, 64 wrong use, 69 no root. */
import { parseArgs } from 'node:util';
import type { Wiring, Family } from '../topology/plan.js';
import { runScenario, SCENARIOS } from './run.js';
import type { Told } from './telling.js';

const USAGE = 64;
const UNAVAILABLE = 69;
const HELP = `usage: npm run scenario -- NUMBER [--set veth|bridge] [--nf-call 0|1] [--family 4|6] [--name N] [--keep]

${Object.entries(SCENARIOS).map(([number, { title }]) => `  ${number}  ${title}`).join('\n')}

  --name N  of its lab (default: one of its own)
  --keep    leave the lab as it is at the end: npm run lab -- status, exec, down
`;

const isColoured = process.stdout.isTTY && process.env.NO_COLOR === undefined;

function paint(code: number, text: string): string {
  return isColoured ? `\x1b[${String(code)}m${text}\x1b[0m` : text;
}

function print(told: Told): void {
  const text = ((): string => {
    switch (told.kind) {
      case 'step':
        return `\n${paint(1, told.title)}`;
      case 'did':
        return `  > ${told.what}`;
      case 'saw':
        return `    ${told.isSo ? paint(32, 'ok    ') : paint(31, 'NOT OK')} expected: ${told.expected}\n           seen:     ${told.seen.replaceAll('\n', '\n                     ')}`;
    }
  })();
  process.stdout.write(`${text}\n`);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { set: { type: 'string', default: 'veth' }, 'nf-call': { type: 'string', default: '1' }, family: { type: 'string', default: '4' }, keep: { type: 'boolean', default: false }, name: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  const [number] = positionals;
  const isUsed = positionals.length === 1 && Object.hasOwn(SCENARIOS, number) && ['veth', 'bridge'].includes(values.set) && ['0', '1'].includes(values['nf-call']) && ['4', '6'].includes(values.family);
  if (values.help || !isUsed) {
    process.stdout.write(HELP);
    return values.help ? 0 : USAGE;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write('scenario: needs root, for network namespaces; run it as root\n');
    return UNAVAILABLE;
  }
  let failed = 0;
  let passed = 0;
  const name = values.name ?? `scenario${number}x${String(process.pid)}`;
  process.stdout.write(`${paint(1, SCENARIOS[number].title)}: ${values.set}${values.set === 'bridge' ? `, bridge-nf-call-iptables ${values['nf-call']}` : ''}, IPv${values.family}; lab ${name}\n`);
  await runScenario(number, {
    name, isKept: values.keep, how: { wiring: values.set as Wiring, nfCall: values['nf-call'] === '1' ? 1 : 0, family: Number(values.family) as Family },
  }, (told) => {
    print(told);
    if (told.kind === 'saw') {
      if (told.isSo) passed++;
      else failed++;
    }
  });
  process.stdout.write(`\n${String(passed)} as expected, ${String(failed)} not\n`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`scenario: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = error instanceof TypeError && 'code' in error ? USAGE : 1;
}

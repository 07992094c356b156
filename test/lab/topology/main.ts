/** `npm run lab -- up|exec|down|status`: see HELP. Exit codes: 0, 1 it failed, 64 wrong use, 69 no root; of exec, the program's. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Lab, LABS_DIR } from './lab.js';
import { namespacesOf } from './namespaces.js';
import { NODES, nodeAddress, podAddress, PODS_OF } from './plan.js';
import { Tandem, TRANSPARENT } from './tandem.js';

const HELP = `A cluster of network namespaces on this machine: nodes, pods, DNS servers, Services, web servers. Needs root.

usage: npm run lab -- up [OPTIONS] [-- FLAGS...]   build it; when it is there already, it stays
       npm run lab -- exec [--name N] WHO PROGRAM...  run a program in a pod (net1), node (node1) or outside (internet)
       npm run lab -- status [--name N]            what there is
       npm run lab -- down [--name N]              take it away

  --name N          several at once under different names (default: main)
  --set veth|bridge how pods are wired (default: veth)
  --nf-call 0|1     bridge-nf-call-iptables of the nodes (default: 1)
  --family 4|6      of the DNS server in the pods' resolv.conf (default: 4)
  --nodes 1|2       (default: 2)
  --tandem          start both daemons on each node, with FLAGS (default: ${TRANSPARENT.join(' ')})
`;

const USAGE = 64;
const UNAVAILABLE = 69;
const INTERRUPTED = 130;

class UsageError extends Error {}

function choice<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new UsageError(`--${name} is "${value}"; allowed: ${allowed.join(', ')}`);
  return found;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function describe(lab: Lab): string {
  const { name, wiring, nfCall, nodes, family } = lab.options;
  const rows = [...lab.pods.values()].sort((a, b) => a.plan.host - b.plan.host).map(({ plan, link }) => {
    const { v4, v6 } = podAddress(plan);
    return `  ${plan.name.padEnd(16)} ${v4.padEnd(12)} ${v6.padEnd(20)} node${String(plan.node)} ${link}`;
  });
  const nodeRows = nodes.map((node) => `  node${String(node)}            ${nodeAddress(node).v4.padEnd(12)} ${nodeAddress(node).v6.padEnd(20)} manifests in ${lab.manifestsDir(node)}, run-dir ${new Tandem(lab, node).runDir}`);
  return [`lab ${name}: ${wiring}${wiring === 'bridge' ? `, bridge-nf-call-iptables ${String(nfCall)}` : ''}, DNS over IPv${String(family)}; namespaces ${lab.namespace('WHO')}`, ...nodeRows, ...rows].join('\n');
}

async function up(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args], allowPositionals: true,
    options: {
      name: { type: 'string', default: 'main' }, set: { type: 'string', default: 'veth' }, 'nf-call': { type: 'string', default: '1' },
      family: { type: 'string', default: '4' }, nodes: { type: 'string', default: '2' }, tandem: { type: 'boolean', default: false },
    },
  });
  const options = {
    name: values.name, wiring: choice('set', values.set, ['veth', 'bridge']), nfCall: choice('nf-call', values['nf-call'], ['0', '1']) === '1' ? 1 : 0,
    nodes: choice('nodes', values.nodes, ['1', '2']) === '1' ? NODES.slice(0, 1) : NODES, family: choice('family', values.family, ['4', '6']) === '4' ? 4 : 6,
    scenarios: Object.keys(PODS_OF),
  } as const;
  const isNew = namespacesOf(values.name).length === 0;
  let isInterrupted = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.removeAllListeners(signal).on(signal, () => {
      isInterrupted = true; // what is under way ends first: it takes a second
    });
  }
  try {
    const lab = await Lab.up(options);
    if (values.tandem) {
      for (const node of lab.options.nodes) await Tandem.start(lab, node, positionals.length > 0 ? positionals : TRANSPARENT);
    }
    if (isInterrupted) throw new Error('interrupted');
    say(describe(lab));
    return 0;
  } catch (error) {
    if (isNew) await Lab.down(values.name);
    if (isInterrupted) return INTERRUPTED;
    throw error;
  }
}

async function exec(args: readonly string[]): Promise<number> {
  const named = args[0] === '--name' ? args[1] : undefined;
  const [who, ...command] = args.slice(named === undefined ? 0 : 2);
  if (command[0] === '--') command.shift();
  if (who === undefined || command.length === 0) throw new UsageError('exec needs WHO and a program');
  const lab = Lab.open(named ?? 'main');
  const child = spawn('env', ['-u', 'NODE_OPTIONS', 'ip', 'netns', 'exec', lab.namespace(who), ...command], { stdio: 'inherit' });
  process.removeAllListeners('SIGINT').on('SIGINT', () => undefined); // the program gets it, too
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      resolve(code ?? 1);
    });
  });
}

function labs(): string[] {
  return existsSync(LABS_DIR) ? readdirSync(LABS_DIR).sort() : [];
}

async function main([verb, ...args]: readonly string[]): Promise<number> {
  if (verb === undefined || verb === '--help' || verb === 'help') {
    say(HELP);
    return verb === undefined ? USAGE : 0;
  }
  if (process.getuid?.() !== 0) {
    process.stderr.write('lab: needs root, for network namespaces; run it as root\n');
    return UNAVAILABLE;
  }
  switch (verb) {
    case 'up':
      return up(args);
    case 'exec':
      return exec(args);
    case 'status': {
      const { values } = parseArgs({ args: [...args], options: { name: { type: 'string' } } });
      const names = values.name === undefined ? labs() : [values.name];
      for (const name of names) say(describe(Lab.open(name)));
      if (names.length === 0) say('no lab is up');
      return 0;
    }
    case 'down': {
      const { values } = parseArgs({ args: [...args], options: { name: { type: 'string', default: 'main' } } });
      say((await Lab.down(values.name)) ? `lab ${values.name} is gone` : `there was no lab ${values.name}`);
      return 0;
    }
    default:
      throw new UsageError(`there is no command "${verb}"`);
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  process.stderr.write(`lab: ${error instanceof Error ? error.message : String(error)}\n${isUsage ? `\n${HELP}` : ''}`);
  process.exitCode = isUsage ? USAGE : 1;
}

/** What is left of an experiment that is broken off: programs in the places of kubectl and of the pod that asks, which lose a query of all but the steady state. */
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { readRepositoryFile } from '#harness/repository.js';
import { removeTemporary, temporaryFolder } from '#harness/temporary.js';
import { targetFrom } from './lib/cluster-file.js';
import type { Experiment } from './lib/experiment.js';
import { runOnce } from './lib/run.js';
import type { Stage } from './lib/stage.js';

/** Writes down what it is asked for; a drain takes a minute, and writes down its end, too. */
const KUBECTL = `
const { appendFileSync } = require('node:fs');
const [file, ...args] = process.argv.slice(1);
const done = (what) => appendFileSync(file, what + '\\n');
done(args[0]);
if (args[0] === 'drain') setTimeout(done, 60000, 'drained');
else console.log(args.includes('json') ? '{"items":[]}' : 'image');
`;

/** Answers as the name says; asked for more than the steady state's seconds, or for names once, it asks until it is stopped. */
const DNSPERF = `
const [command, , , , , seconds, once, name] = process.argv.slice(1);
if (command === 'kill') process.kill(Number(process.argv[3]), 'SIGINT');
else {
  const end = () => {
    console.log('  Queries sent: 10\\n  Queries completed: 10\\n  Response codes: ' + (name.startsWith('denied') ? 'REFUSED' : 'NOERROR') + ' 10 (100%)');
    process.exit();
  };
  process.on('SIGINT', end);
  console.log('pid ' + process.pid);
  if (seconds !== '3') setTimeout(console.log, 1700, '[Timeout]');
  setTimeout(end, seconds === '3' ? 500 : 60000);
}
`;

const NAMES = { allowed: ['allowed.example'], denied: ['denied.example'], fresh: { pattern: 'h#.fresh.example', count: 100 } };
/** Much less than whatever the experiment waits for. */
const SOON_MS = 20_000;

function experimentOf(run: (stage: Stage) => Promise<void>, undo: (stage: Stage) => Promise<void>): Experiment {
  return { name: 'x', hypothesis: '', steadyState: '', fault: '', expected: [], abort: { afterSeconds: 60, lostMost: 0 }, run, undo };
}

function cluster(t: Test) {
  const folder = temporaryFolder('tandem-aborted-');
  t.teardown(() => { removeTemporary(folder); });
  const file = join(folder, 'asked');
  appendFileSync(file, '');
  const example = JSON.parse(readRepositoryFile('chaos/kubernetes/cluster.example.json')) as object;
  const target = targetFrom(JSON.stringify({ ...example, kubectl: [process.execPath, '-e', KUBECTL, file], probe: [process.execPath, '-e', DNSPERF, '--'], names: NAMES }));
  return { target, asked: () => readFileSync(file, 'utf8').trim().split('\n') };
}

const RUNS: Readonly<Record<string, (stage: Stage) => Promise<unknown>>> = {
  'in a command that takes long': (stage) => stage.target.kubectl('drain'),
  'while it waits for pods': (stage) => stage.podsSoon('agent', 'some', (pods) => pods.length > 0),
  'in a pause': (stage) => stage.calm(60_000),
  'while it asks for new names': (stage) => stage.goesOn('then'),
  'where it does one thing after another': async (stage) => {
    for (;;) await stage.deletePods('agent');
  },
};

for (const [where, run] of Object.entries(RUNS)) {
  t.test(`an experiment that is broken off ${where} has ended before it is undone, and does nothing afterwards`, async (t) => {
    const { target, asked } = cluster(t);
    const told: string[] = [];
    const experiment = experimentOf(async (stage) => {
      try {
        await run(stage);
      } finally {
        told.push('over');
      }
    }, async (stage) => {
      await stage.target.kubectl('uncordon');
      told.push('undone');
    });
    const startedMs = performance.now();
    const { aborted } = await runOnce(experiment, target, 1);
    t.match(aborted, /^aborted: \d+ queries lost/);
    t.ok(performance.now() - startedMs < SOON_MS, 'without waiting for what it does');
    t.strictSame(told, ['over', 'undone']);
    await pause(200);
    t.equal(asked().at(-1), 'uncordon');
    t.notOk(asked().includes('drained'));
  });
}

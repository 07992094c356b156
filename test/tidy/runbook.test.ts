import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import { type Io, runCli } from '@tandem/cli';
import { SETTINGS } from '@tandem/core';
import { MEMBER_METRICS, metricName } from '@tandem/host';
import { parse } from 'yaml';
import { readRepositoryFile, repositoryRoot } from '../harness/repository.js';
import { fencedLines } from './markdown.js';
import { CILIUM_PREFIX } from './metrics-page.js';
import { RULES, type RuleFile, RUNBOOK } from './monitoring-files.js';

const text = readRepositoryFile(RUNBOOK);

/** The help text of a command, and the exit code. */
async function help(command: string): Promise<{ readonly text: string; readonly code: number }> {
  let shown = '';
  let code = 0;
  const io: Io = {
    env: {}, isTerminal: false, screen: null, showsProgress: false,
    out: (part) => { shown += part; },
    err: (part) => { shown += part; },
    setExitCode: (value) => { code = value; },
    onOutputLost: () => undefined,
    drained: () => Promise.resolve(),
    untilInterrupted: (work) => work(new AbortController().signal),
    input: () => Readable.from([]),
    readInput: () => Promise.resolve(null),
    confirm: () => Promise.resolve(null),
  };
  await runCli([...command.split(' '), '--help'], io);
  return { text: shown, code };
}

/** `tandem` command lines in code blocks and between backticks. */
function commandLines(): string[] {
  const fenced = fencedLines(text, 'sh').map((line) => line.replace(/\s+#.*$/, '').split('|')[0].trim());
  const inline = [...text.matchAll(/`(tandem [^`]+)`/g)].map((match) => match[1]);
  return [...new Set([...fenced, ...inline])].filter((line) => line.startsWith('tandem '));
}

/** Commands by their words without options, and the options that are used with each. */
function usedOptions(): Map<string, Set<string>> {
  const used = new Map<string, Set<string>>();
  for (const line of commandLines()) {
    const words = line.split(/\s+/).slice(1);
    const depth = ['cache', 'policy', 'endpoint'].includes(words[0]) ? 2 : 1;
    const command = words.slice(0, depth).join(' ');
    const options = used.get(command) ?? new Set();
    for (const word of words.slice(depth)) if (/^--?[a-z]/.test(word)) options.add(word);
    used.set(command, options);
  }
  return used;
}

t.test('every command of the runbook is there, with the options that it gives', async (t) => {
  const used = usedOptions();
  t.ok(used.size > 5, 'the commands are found');
  for (const [command, options] of used) {
    const shown = await help(command);
    t.equal(shown.code, 0, `tandem ${command}`);
    t.match(shown.text, `Usage: tandem ${command}`, `tandem ${command} is a command of its own`);
    for (const option of options) t.ok(new RegExp(`(^|[\\s,])${option}([\\s,=]|$)`, 'm').test(shown.text), `tandem ${command} ${option}`);
  }
});

t.test('every flag of a daemon that it names is a setting that acts', (t) => {
  const flags = [...text.matchAll(/`(--[a-z-]+)[^`]*`/g)].map((match) => match[1].slice(2));
  t.ok(flags.length > 10, 'the flags are found');
  const acting = SETTINGS.filter(({ status }) => status === 'honoured').map(({ name }) => name);
  t.strictSame(flags.filter((flag) => !acting.includes(flag) && flag !== 'config'), []);
  t.end();
});

t.test('every metric that it names is there', (t) => {
  const names = [...text.matchAll(/`((?:tandem|cilium|hubble|process|nodejs)_[a-z0-9_]+)`/g)].map((match) => match[1]);
  t.ok(names.length > 3, 'the metrics are found');
  const known = MEMBER_METRICS.map((row) => metricName(row, CILIUM_PREFIX));
  t.strictSame(names.filter((name) => !known.includes(name)), []);
  t.end();
});

t.test('each alert and each failure has a section with a command and something to do', (t) => {
  const alerts = (parse(readRepositoryFile(RULES)) as RuleFile).groups.flatMap(({ rules }) => rules.flatMap(({ alert }) => alert ?? []));
  const sections = new Map(text.split(/^(?=### )/m).slice(1).map((part) => {
    const [heading, ...body] = part.split('\n');
    return [heading.slice(4), body.join('\n').split(/^## /m)[0]] as const;
  }));
  for (const alert of alerts) t.ok(sections.has(alert), alert);
  const failures = (text.split(/^## /m).find((part) => part.startsWith('Failures')) ?? '').split('\n').filter((line) => line.startsWith('### '));
  t.ok(failures.length >= 8, 'and the failures that the pair is made for');
  t.strictSame([...sections.keys()].filter((heading) => heading.startsWith('Tandem') && !alerts.includes(heading)), [], 'no section is of an alert that is gone');
  for (const [heading, body] of sections) {
    t.match(body, /^```sh\n[^`]+^```$/m, `${heading}: a command`);
    t.ok(body.replace(/^```sh[^]*?^```$/gm, '').trim().length > 100, `${heading}: what it means, and what to do`);
  }
  t.end();
});

t.test('every drill that it names can be staged', (t) => {
  const lines = text.split('\n').filter((line) => /^Drills? `/.test(line));
  const drills = lines.flatMap((line) => [...(line.split('.')[0]).matchAll(/`([a-z-]+)`/g)].map((match) => match[1]));
  t.ok(drills.length > 10, 'the drills are found');
  t.strictSame(drills.filter((name) => !existsSync(join(repositoryRoot, `chaos/drills/${name}.ts`))), []);
  t.end();
});

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { folder, tandem } from '../testing/rig.js';

/** What is typed (the last word is the one to complete), and what must and must not be offered. */
const CASES: readonly (readonly [typed: string, offers: readonly string[], not: readonly string[]])[] = [
  ['tandem ', ['status', 'observe', 'cache', 'policy', 'bugtool', 'completion'], ['list', '--follow']],
  ['tandem st', ['status'], ['observe']],
  ['tandem cache ', ['list', 'clean', 'export', 'import'], ['status']],
  ['tandem cache list --', ['--matchpattern', '--member', '--source'], ['--follow']],
  ['tandem cache list --member ', ['agent', 'dns-proxy'], ['table', 'lookup']],
  ['tandem cache list -s ', ['lookup', 'connection'], ['agent']],
  ['tandem observe -o ', ['compact', 'jsonpb'], ['DROPPED']],
  ['tandem observe --verdict D', ['DROPPED'], ['FORWARDED']],
  ['tandem observe --last ', [], ['compact', 'agent', 'found.json']],
  ['tandem observe --input-file f', ['found.json'], []],
  ['tandem policy validate f', ['found.json'], []],
  ['tandem completion ', ['bash', 'zsh', 'fish'], []],
];

const isThere = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0;

t.test('bash completes commands, options, choices and files', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'found.json'), '');
  const script = (await tandem(dir, ['completion', 'bash'])).out;
  for (const [typed, offers, not] of [...CASES, ['tandem cache list --member=d', ['dns-proxy'], ['agent']] as const]) {
    // As bash splits it: "=" is a word of its own.
    const words = typed.replaceAll('=', ' = ').split(' ').map((word) => `'${word}'`);
    const run = `${script}\nCOMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; compopt() { :; }; _tandem; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const offered = execFileSync('bash', ['--norc', '-c', run], { cwd: dir, encoding: 'utf8' }).split('\n').filter((word) => word !== '');
    t.strictSame(offers.filter((word) => !offered.includes(word)), [], `${typed} offers`);
    t.strictSame(not.filter((word) => offered.includes(word)), [], `${typed} does not offer`);
  }
});

for (const shell of ['zsh', 'fish'].filter(isThere)) {
  t.test(`${shell} completes the same`, async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, 'found.json'), '');
    mkdirSync(join(dir, 'home'));
    const file = join(dir, 'script');
    writeFileSync(file, (await tandem(dir, ['completion', shell])).out);
    for (const [typed, offers, not] of CASES) {
      const offered = (shell === 'fish' ? byFish(dir, file, typed) : byZsh(dir, file, typed)).split('\n').map((line) => line.split('\t')[0].trim());
      t.strictSame(offers.filter((word) => !offered.includes(word)), [], `${typed} offers`);
      t.strictSame(not.filter((word) => offered.includes(word)), [], `${typed} does not offer`);
    }
  });
}

function byFish(dir: string, script: string, typed: string): string {
  return execFileSync('fish', ['--no-config', '-c', `source ${script}; complete -C '${typed}'`], { cwd: dir, encoding: 'utf8', env: { ...process.env, HOME: join(dir, 'home') } });
}

/** zsh offers to a line editor only: its words are caught where they are added. */
function byZsh(dir: string, script: string, typed: string): string {
  const words = typed.split(' ');
  const run = `compdef() { :; }; compset() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { print -l -- *(N); }; source ${script}
words=(${words.map((word) => `'${word}'`).join(' ')}); CURRENT=${words.length}; _tandem`;
  return execFileSync('zsh', ['-f', '-c', run], { cwd: dir, encoding: 'utf8' }).split('\n').filter((word) => word.startsWith(words.at(-1)!)).join('\n');
}

t.test('another shell is refused', async (t) => {
  t.match(await tandem('/nowhere', ['completion', 'ksh']), { code: 64, out: '', err: /Allowed choices are bash, zsh, fish/ });
});

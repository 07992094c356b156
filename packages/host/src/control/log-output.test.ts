import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { closeFd, receiveInto, unixSocketPair } from 'node-reuseport';
import t, { type Test } from 'tap';
import { DEADLINE_MS, until } from '../dataplane/testing/wait.js';
import { LogOutput } from './log-output.js';

const LINE_BYTES = 1000;
/** More than may wait. */
const LINES = 10_000;

function lineOf(i: number): string {
  return `${String(i).padStart(LINE_BYTES - 1, '.')}\n`;
}

/** A pipe whose writes block, as a daemon's standard error is. */
function pipeOf(t: Test): { readonly read: number; readonly write: number } {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-log-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'fifo');
  execFileSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const write = openSync(path, constants.O_WRONLY);
  return { read, write };
}

/** What waits in the pipe. */
function taken(fd: number): string {
  const into = Buffer.alloc(1 << 20);
  try {
    return into.toString('latin1', 0, readSync(fd, into));
  } catch {
    return '';
  }
}

t.test('lines leave at once and in their order', (t) => {
  const { read, write } = pipeOf(t);
  const output = new LogOutput(write, () => t.fail('nothing was dropped'));
  const long = `${'x'.repeat(9000)}\n`;
  output.write('one\n');
  output.write(long);
  output.write('three\n');
  t.equal(taken(read), `one\n${long}three\n`);
  for (const fd of [read, write]) closeSync(fd);
  t.end();
});

t.test('nobody waits for a reader that has stopped; it gets what was kept in its order later, and is told how much was not', async (t) => {
  const { read, write } = pipeOf(t);
  const dropped: number[] = [];
  const output = new LogOutput(write, (lines) => dropped.push(lines));
  for (let i = 0; i < LINES; i++) output.write(lineOf(i));
  output.flush();
  let text = '';
  await until('the kept lines', DEADLINE_MS, () => {
    text += taken(read);
    return dropped.length > 0;
  });
  text += taken(read);
  const lines = text.split('\n').slice(0, -1);
  t.equal(lines.length, LINES - dropped[0]);
  t.ok(dropped[0] > LINES / 2 && dropped[0] < LINES, `${dropped[0]} dropped`);
  t.ok(lines.every((line, i) => `${line}\n` === lineOf(i)), 'the first ones, whole');
  output.write('again\n');
  t.equal(taken(read), 'again\n');
  t.equal(dropped.length, 1);
  for (const fd of [read, write]) closeSync(fd);
});

t.test('neither does a terminal that nobody reads hold up anybody', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-log-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  const [program, done] = [join(dir, 'program.mjs'), join(dir, 'done')];
  writeFileSync(program, `
    import { writeFileSync } from 'node:fs';
    const { LogOutput } = await import(${JSON.stringify(new URL('./log-output.js', import.meta.url).href)});
    const output = new LogOutput(2, () => undefined);
    for (let i = 0; i < ${LINES}; i++) output.write('x'.repeat(100) + '\\n');
    output.flush();
    writeFileSync(${JSON.stringify(done)}, String(process.stderr.isTTY));
  `);
  // Of what it copies from the terminal nothing is read.
  const terminal = spawn('script', ['-qfc', `exec '${process.execPath}' '${program}'`, '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'], cwd: import.meta.dirname });
  t.teardown(() => terminal.kill('SIGKILL'));
  await until('the end of the flush', DEADLINE_MS, () => existsSync(done) && readFileSync(done, 'utf8') === 'true');
});

t.test('a socket that nobody reads does not, either, and has the lines in their order', (t) => {
  const [one, other] = unixSocketPair('stream');
  const output = new LogOutput(one, () => undefined);
  for (let i = 0; i < LINES; i++) output.write(lineOf(i));
  output.flush();
  const into = Buffer.alloc(LINE_BYTES * 10);
  t.equal(receiveInto(other, into, 0, into.length, false), into.length);
  t.equal(into.toString(), Array.from({ length: 10 }, (_, i) => lineOf(i)).join(''));
  for (const fd of [one, other]) closeFd(fd);
  t.end();
});

t.test('without a reader, and on a full disk, lines are lost and nothing else', (t) => {
  const { read, write } = pipeOf(t);
  closeSync(read);
  const unread = new LogOutput(write, () => t.fail('nobody is there to be told'));
  for (let i = 0; i < LINES; i++) unread.write(lineOf(i));
  unread.flush();
  closeSync(write);
  const full = openSync('/dev/full', 'w');
  const filled = new LogOutput(full, () => t.fail('it is full still'));
  for (let i = 0; i < LINES; i++) filled.write(lineOf(i));
  filled.flush();
  closeSync(full);
  t.end();
});

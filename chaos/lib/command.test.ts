/** The drills' command line, black box, and a whole drill. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Child, run } from '#harness/child.js';
import { repositoryRoot } from '#harness/repository.js';
import { until } from '#harness/until.js';

const DEADLINE_MS = 60_000;

function drill(...args: string[]) {
  return run(process.execPath, [join(repositoryRoot, 'chaos/dist/main.js'), ...args], DEADLINE_MS);
}

t.test('wrong use is told with the usage, and exit code 64', async (t) => {
  for (const [args, why] of [
    [[], /the name of one drill is expected/],
    [['kill-nobody'], /no drill "kill-nobody"; there are kill-agent,/],
    [['kill-agent', '--runs', '0'], /--runs must be a whole number from 1 to 100, not "0"/],
    [['kill-agent', '--rate', '1e9'], /--rate must be a whole number from 1 to 100000/],
    [['kill-agent', '--slots', '63'], /--slots must be a whole number from 64 to 32767, not "63"/],
    [['kill-agent', '-o', 'xml'], /--output is table or json/],
    [['kill-agent', '--repeat', '2'], /stages its fault once/],
    [['drain', '--control'], /drain has no control run/],
    [['kill-agent', '--speed', '2'], /--speed/],
  ] as const) {
    const { code, output } = await drill(...args);
    t.equal(code, 64, args.join(' '));
    t.match(output, why);
    t.match(output, /^usage: tandem drill --list/m);
  }
});

interface View {
  readonly passed: boolean;
  readonly runs: readonly { readonly figures: { readonly lost: number; readonly sent: number }; readonly proofs: readonly { readonly holds: boolean }[] }[];
}

t.test('a whole drill: nothing is lost, the fault is proven, the report shows it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-drill-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true });
  });
  const report = join(folder, 'report.html');
  const whole = await drill('kill-proxy', '-o', 'json', '--report', report);
  t.equal(whole.code, 0, whole.output);
  const { runs: [result], passed } = JSON.parse(whole.standardOutput) as View;
  t.ok(passed);
  t.equal(result.figures.lost, 0);
  t.ok(result.figures.sent > 1_000, `${String(result.figures.sent)} sent`);
  t.ok(result.proofs.length >= 4 && result.proofs.every((one) => one.holds));
  const html = readFileSync(report, 'utf8');
  t.match(html, /<svg[^]*class="fault"[^]*kill dns-proxy at/);
  t.notMatch(html, /(?:src|href)=/, 'the report needs nothing else');
});

t.test('told to end in the middle, it leaves no process and no file', async (t) => {
  const child = new Child(process.execPath, [join(repositoryRoot, 'chaos/dist/main.js'), 'kill-agent', '-o', 'json']);
  t.teardown(() => child.stop('SIGKILL'));
  const started = await until('the daemons and the load', DEADLINE_MS, () => {
    const found = descendantsOf(child.pid);
    return found.some((one) => one.command.includes('udp-load')) ? found : null;
  });
  const folder = /--run-dir (\S+)\/run /.exec(started.map((one) => one.command).join('\n'))?.[1];
  t.ok(folder !== undefined && existsSync(folder), folder ?? 'no --run-dir found');
  child.process.kill('SIGINT');
  t.same(await child.exited, { code: 130, signal: null });
  await until('the end of all of them', DEADLINE_MS, () => (started.every(({ pid }) => !existsSync(`/proc/${String(pid)}`)) ? true : null));
  t.notOk(existsSync(folder!), 'its folder is gone');
});

function descendantsOf(pid: number): { readonly pid: number; readonly command: string }[] {
  const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').split(' ').filter((text) => text !== '').map(Number);
  return children.flatMap((child) => [{ pid: child, command: readFileSync(`/proc/${String(child)}/cmdline`, 'utf8').replaceAll('\0', ' ') }, ...descendantsOf(child)]);
}

/** The drills' command line, black box, and a whole drill with its control run. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run } from '#harness/child.js';
import { repositoryRoot } from '#harness/repository.js';

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

t.test('a kill loses nothing, and with stealing switched off the same drill loses some', async (t) => {
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

  const control = await drill('kill-proxy', '-o', 'json', '--control');
  t.equal(control.code, 0, control.output);
  t.ok((JSON.parse(control.standardOutput) as View).runs[0].figures.lost > 0);
});

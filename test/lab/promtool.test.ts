/** Prometheus' own tool on what is in deploy: the syntax of all expressions, and whether each alert fires when it should and else is silent. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse, stringify } from 'yaml';
import { UdpClient } from '../harness/clients.js';
import { CLIENT_A } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import { readRepositoryFile, repositoryRoot } from '../harness/repository.js';
import { addressA, buildAnswer, buildQuery, TYPE } from '../harness/wire.js';
import { startBench } from '../pair/start.js';
import { METRICS_PAGE } from '../tidy/metrics-page.js';
import { DASHBOARD, dashboardExpressions, RULES, type RuleFile } from '../tidy/monitoring-files.js';
import { ALERT_CASES, type AlertCase } from './alert-cases.js';

const QUERIES = 40;

const rulesPath = join(repositoryRoot, RULES);
const rules = parse(readRepositoryFile(RULES)) as RuleFile;
const alerts = rules.groups.flatMap((group) => group.rules).filter((rule) => rule.alert !== undefined);

function promtool(args: readonly string[], input = ''): { readonly isOk: boolean; readonly output: string } {
  const { error, status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8', input });
  if (error !== undefined) throw new Error(`promtool does not run (${error.message}): it is in Debian's package prometheus, and test/lab/run gets it`, { cause: error });
  return { isOk: status === 0, output: `${stdout}${stderr}` };
}

function temporaryFile(t: Test, name: string, content: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'tandem-rules-'));
  t.teardown(() => { rmSync(dir, { recursive: true, force: true }); });
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

/** One of promtool's tests: the series, and what fires at which minute. */
function promtoolTest(alert: AlertCase, series: Readonly<Record<string, string>>, at: readonly { readonly minute: number; readonly fires: boolean }[]): object {
  const severity = alerts.find((rule) => rule.alert === alert.alert)?.labels?.severity ?? '';
  const labels = { alertname: alert.alert, alertstate: 'firing', severity, ...alert.labels };
  const sample = `ALERTS{${Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(',')}}`;
  return {
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    promql_expr_test: at.map(({ minute, fires }) => ({
      expr: `ALERTS{alertname="${alert.alert}",alertstate="firing"}`,
      eval_time: `${String(minute)}m`,
      exp_samples: fires ? [{ labels: sample, value: 1 }] : [],
    })),
  };
}

function run(t: Test, tests: readonly object[]): { readonly isOk: boolean; readonly output: string } {
  return promtool(['test', 'rules', temporaryFile(t, 'test.yaml', stringify({ rule_files: [rulesPath], evaluation_interval: '1m', tests }))]);
}

t.test('promtool takes the rules', (t) => {
  const { isOk, output } = promtool(['check', 'rules', '--lint=all', '--lint-fatal', rulesPath]);
  t.ok(isOk, output);
  t.match(output, `${String(rules.groups.flatMap((group) => group.rules).length)} rules found`);
  t.end();
});

t.test('promtool takes every expression of the dashboard', (t) => {
  const expressions = dashboardExpressions(readRepositoryFile(DASHBOARD));
  t.ok(expressions.length > 20, 'the expressions are found');
  const generated = expressions.map(({ expr }, index) => ({ record: `dashboard:expr:${String(index)}`, expr }));
  const path = temporaryFile(t, 'dashboard.yaml', stringify({ groups: [{ name: 'dashboard', rules: generated }] }));
  const { isOk, output } = promtool(['check', 'rules', path]);
  t.ok(isOk, output);
  t.match(output, `${String(expressions.length)} rules found`);
  t.end();
});

t.test('every alert has its case, and no case is of an alert that is gone', (t) => {
  t.ok(alerts.length > 20, 'the alerts are found');
  t.strictSame(ALERT_CASES.map(({ alert }) => alert).sort(), alerts.map(({ alert }) => alert).sort());
  t.end();
});

for (const one of ALERT_CASES) {
  t.test(`${one.alert} fires when it should, and not before`, (t) => {
    const early = one.notYetAtMinute === null ? [] : [{ minute: one.notYetAtMinute, fires: false }];
    const { isOk, output } = run(t, [promtoolTest(one, one.fires, [...early, { minute: one.firesAtMinute, fires: true }])]);
    t.ok(isOk, output);
    t.end();
  });
  t.test(`${one.alert} is silent when all is well`, (t) => {
    const minutes = Array.from({ length: one.firesAtMinute + 1 }, (_, minute) => ({ minute, fires: false }));
    t.ok(Object.keys(one.silent).length > 0);
    for (const [what, series] of Object.entries(one.silent)) {
      const { isOk, output } = run(t, [promtoolTest(one, series, minutes)]);
      t.ok(isOk, `${what}: ${output}`);
    }
    t.end();
  });
}

t.test("promtool finds nothing to say against the metrics of a pair that works, and all that are documented are there", async (t) => {
  const { pair } = await startBench(t, ({ query }) => buildAnswer(query, [addressA('192.0.2.7')]));
  await pair.redundant();
  const client = await UdpClient.open(CLIENT_A, pair.server);
  for (let i = 0; i < QUERIES; i++) await client.ask(buildQuery({ name: `n${String(i)}.a.test`, type: TYPE.A }));
  client.close();
  let answered = 0;
  for (const role of ROLES) {
    const { body } = await pair.http(role, '/metrics');
    const { isOk, output } = promtool(['check', 'metrics'], body);
    t.ok(isOk, output);
    const named = [...body.matchAll(/^# TYPE (\S+) \S+$/gm)].map((match) => match[1]);
    t.strictSame(named, [...readRepositoryFile(METRICS_PAGE).matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]), role);
    answered += Number(/^hubble_dns_responses_total\{rcode="No Error",qtypes="A",ips_returned="1",[^}]*\} (\d+)$/m.exec(body)?.[1] ?? 0);
  }
  t.equal(answered, QUERIES, 'answers are counted by what is in them');
});

t.test('a case that expects too much fails', (t) => {
  const [one] = ALERT_CASES.filter(({ alert }) => alert === 'TandemMemberDown');
  const { isOk, output } = run(t, [promtoolTest(one, one.silent['both are there'], [{ minute: one.firesAtMinute, fires: true }])]);
  t.notOk(isOk);
  t.match(output, 'TandemMemberDown');
  t.end();
});

t.test('what an alert says is filled in with node, role and value', (t) => {
  const [one] = ALERT_CASES.filter(({ alert }) => alert === 'TandemReconcileLag');
  const expected = {
    interval: '1m',
    input_series: Object.entries({ 'tandem_shed_total{node="n",role="agent"}': '0+60x30' }).map(([series, values]) => ({ series, values })),
    alert_rule_test: [{
      eval_time: '10m', alertname: 'TandemShedding',
      exp_alerts: [{
        exp_labels: { severity: 'critical', ...one.labels },
        exp_annotations: {
          summary: 'agent on n sheds queries',
          description: '1 a second get SERVFAIL because slots are short; the heaviest client pays first.',
          runbook_url: 'docs/runbook.md#tandemshedding',
        },
      }],
    }],
  };
  const { isOk, output } = run(t, [expected]);
  t.ok(isOk, output);
  t.end();
});

t.test("the members' shares of a node add up to one, and recorded ratios have no value without queries", (t) => {
  const series = {
    'tandem_answered_total{node="n",role="agent"}': '0+300x30', 'tandem_answered_total{node="n",role="dns-proxy"}': '0+100x30',
    'tandem_answered_total{node="idle",role="agent"}': '0x30', 'tandem_allowed_total{node="idle",role="agent"}': '0x30', 'tandem_upstream_timeout_total{node="idle",role="agent"}': '0x30',
  };
  const name = 'node_role:tandem_answered_share:ratio_rate5m';
  const { isOk, output } = run(t, [{
    interval: '1m',
    input_series: Object.entries(series).map(([one, values]) => ({ series: one, values })),
    promql_expr_test: [
      { expr: name, eval_time: '10m', exp_samples: [{ labels: `${name}{node="n",role="agent"}`, value: 0.75 }, { labels: `${name}{node="n",role="dns-proxy"}`, value: 0.25 }] },
      { expr: 'node:tandem_upstream_timeout:ratio_rate5m', eval_time: '10m', exp_samples: [] },
    ],
  }]);
  t.ok(isOk, output);
  t.end();
});

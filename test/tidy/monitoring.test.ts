import t from 'tap';
import { MEMBER_METRICS, metricName } from '@tandem/host';
import { parse } from 'yaml';
import { readRepositoryFile } from '../harness/repository.js';
import { anchorsOf } from './markdown.js';
import { CILIUM_PREFIX } from './metrics-page.js';
import { DASHBOARD, dashboardExpressions, namedIn, type Named, RULES, type RuleFile, RUNBOOK } from './monitoring-files.js';

/** What every series has: the members' own labels, and Prometheus'. */
const COMMON = ['node', 'role', 'instance', 'job'];
const SEVERITIES = ['critical', 'warning', 'info'];

const rules = (parse(readRepositoryFile(RULES)) as RuleFile).groups.flatMap((group) => group.rules);

/** Labels by series name, as a scrape and the recording rules give them. */
const series = new Map<string, readonly string[]>();
for (const row of MEMBER_METRICS) {
  const name = metricName(row, CILIUM_PREFIX);
  const labels = [...Object.keys(row.labels ?? {}), ...COMMON];
  if (row.type === 'histogram') {
    series.set(`${name}_bucket`, [...labels, 'le']);
    for (const part of ['sum', 'count']) series.set(`${name}_${part}`, labels);
  } else series.set(name, labels);
}
for (const { record } of rules) if (record !== undefined) series.set(record, record.startsWith('node_role:') ? ['node', 'role'] : ['node']);

/** What no scrape gives. */
function unknownIn({ selected, grouped }: Named): string[] {
  const known = new Set(selected.flatMap(({ metric }) => series.get(metric) ?? []));
  return [
    ...selected.filter(({ metric }) => !series.has(metric)).map(({ metric }) => metric),
    ...selected.flatMap(({ metric, labels }) => labels.filter((label) => series.get(metric)?.includes(label) === false).map((label) => `${metric}{${label}}`)),
    ...grouped.filter((label) => !known.has(label)),
  ];
}

t.test('rules name only metrics and labels that there are', (t) => {
  t.ok(rules.length > 30, 'the rules are found');
  for (const { alert, record, expr } of rules) {
    const named = namedIn(expr);
    t.ok(named.selected.length > 0, `${alert ?? record ?? ''} reads something`);
    t.strictSame(unknownIn(named), [], alert ?? record ?? '');
  }
  t.end();
});

t.test('each alert says how grave it is, what is wrong, and where to read on', (t) => {
  const anchors = anchorsOf(readRepositoryFile(RUNBOOK));
  for (const { alert, labels = {}, annotations = {} } of rules) {
    if (alert === undefined) continue;
    t.match(alert, /^Tandem[A-Z][A-Za-z]+$/);
    t.ok(SEVERITIES.includes(labels.severity), `${alert}: severity`);
    t.match(annotations, { summary: /^.{15,90}$/, description: /^.{30,250}\.$/s }, alert);
    const [path, anchor] = annotations.runbook_url.split('#');
    t.equal(path, RUNBOOK);
    t.equal(anchor, alert.toLowerCase(), `${alert}: a section of its own`);
    t.ok(anchors.has(anchor), `${alert}: ${RUNBOOK} has the section`);
  }
  t.end();
});

t.test('the dashboard names only metrics and labels that there are', (t) => {
  const expressions = dashboardExpressions(readRepositoryFile(DASHBOARD));
  t.ok(expressions.length > 50, 'the expressions are found');
  for (const { panel, expr } of expressions) t.strictSame(unknownIn(namedIn(expr)), [], `${panel}: ${expr}`);
  t.end();
});

interface Dashboard {
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
  readonly panels: readonly {
    readonly id: number; readonly type: string; readonly title: string; readonly description?: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly datasource?: { readonly uid: string };
    readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
  }[];
}

t.test('the dashboard is one for Grafana 9 and later, with a choice of data source and node', (t) => {
  const { schemaVersion, templating, panels } = JSON.parse(readRepositoryFile(DASHBOARD)) as Dashboard;
  t.ok(schemaVersion >= 36);
  t.strictSame(templating.list.map(({ name, type }) => `${name} ${type}`), ['datasource datasource', 'node query']);
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'no ID twice');
  for (const { title, type, description, datasource, targets = [], gridPos: at } of panels) {
    t.ok(at.x >= 0 && at.w > 0 && at.x + at.w <= 24, `${title} lies on the grid`);
    if (type === 'row') continue;
    t.match(description, /^.{10,}\.$/, `${title} says what it shows`);
    t.ok(targets.length > 0, `${title} shows something`);
    for (const uid of [datasource?.uid, ...targets.map((target) => target.datasource.uid)]) t.equal(uid, '${datasource}', title);
    for (const { expr } of targets) t.match(expr, 'node=~"$node"', `${title} is of the chosen nodes`);
  }
  const overlapping = panels.flatMap((a, i) => panels.slice(i + 1).filter((b) => overlap(a.gridPos, b.gridPos)).map((b) => `${a.title} and ${b.title}`));
  t.strictSame(overlapping, [], 'no panel covers another');
  t.end();
});

type Place = Dashboard['panels'][number]['gridPos'];

function overlap(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

t.test('metrics and labels are found in an expression, and what is unknown is told', (t) => {
  const named = namedIn('sum by (node, pod) (rate(tandem_queries_total{role="agent",pot!=""}[5m])) > 5 * (up offset 1h) + 1 and on (instance) tandem_redundant or topk(3, count by (le) (nothing))');
  t.strictSame(named.selected, [
    { metric: 'tandem_queries_total', labels: ['role', 'pot'] }, { metric: 'up', labels: [] }, { metric: 'tandem_redundant', labels: [] }, { metric: 'nothing', labels: [] },
  ]);
  t.strictSame(named.grouped, ['node', 'pod', 'instance', 'le']);
  t.strictSame(unknownIn(named), ['up', 'nothing', 'tandem_queries_total{pot}', 'pod', 'le']);
  t.end();
});

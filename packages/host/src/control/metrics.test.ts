import t from 'tap';
import { type MetricRow, Metrics } from './metrics.js';
import { PROCESS_METRICS, ProcessReadings } from './process-metrics.js';

interface Source {
  queries: number;
  readonly names: { readonly labels: { readonly endpoint: string }; readonly value: number }[];
}

const ROWS: readonly MetricRow<Source>[] = [
  { name: 'tandem_queries_total', type: 'counter', help: 'Queries.', read: ({ queries }) => queries },
  { name: 'fqdn_active_names', isCiliums: true, type: 'gauge', help: 'Names.', labels: { endpoint: 'ID' }, read: ({ names }) => names },
  {
    name: 'proxy_upstream_reply_seconds', isCiliums: true, type: 'histogram', help: 'Times.', labels: { scope: 'which' },
    read: () => [{ labels: { scope: 'totalTime' }, value: { boundsMs: [0.5, 5], buckets: [1, 2, 1], sumMs: 9006.1 } }],
  },
];

function metricsOf(source: Source, ciliumPrefix = 'cilium_'): Metrics<Source> {
  return new Metrics({ rows: ROWS, source, role: 'agent', nodeName: 'node-1', ciliumPrefix });
}

t.test('a scrape shows everything as it is at that moment', async (t) => {
  const source: Source = { queries: 5, names: [{ labels: { endpoint: '1' }, value: 2 }, { labels: { endpoint: '2' }, value: 3 }] };
  const metrics = metricsOf(source);
  t.match(await metrics.text(), '# HELP tandem_queries_total Queries.\n# TYPE tandem_queries_total counter\ntandem_queries_total{node="node-1",role="agent"} 5\n');
  source.queries = 7;
  t.match(await metrics.text(), 'tandem_queries_total{node="node-1",role="agent"} 7\n');
  t.match(await metrics.text(), 'cilium_fqdn_active_names{endpoint="2",node="node-1",role="agent"} 3\n');
  source.names.pop();
  t.notMatch(await metrics.text(), 'endpoint="2"', 'a label set that is gone is not shown');
});

t.test('a histogram that was filled elsewhere is shown cumulative and in seconds', async (t) => {
  const text = await metricsOf({ queries: 0, names: [] }).text();
  const labels = (le: string): string => `{scope="totalTime",${le}node="node-1",role="agent"}`;
  t.match(text, '# TYPE cilium_proxy_upstream_reply_seconds histogram\n');
  t.match(text, `_bucket${labels('le="0.0005",')} 1\n`);
  t.match(text, `_bucket${labels('le="0.005",')} 3\n`);
  t.match(text, `_bucket${labels('le="+Inf",')} 4\n`);
  t.match(text, `_sum${labels('')} 9.0061\n`);
  t.match(text, `_count${labels('')} 4\n`);
});

t.test("only the names of Cilium's metrics have the prefix", async (t) => {
  const source: Source = { queries: 5, names: [{ labels: { endpoint: '1' }, value: 2 }] };
  t.match(await metricsOf(source, '').text(), /^fqdn_active_names\{/m);
  t.match(await metricsOf(source, 'x_').text(), /^x_fqdn_active_names\{[^]*^x_proxy_upstream_reply_seconds_count\{/m);
  t.match(await metricsOf(source, 'x_').text(), /^tandem_queries_total\{/m);
});

t.test('what a label says cannot break a line', async (t) => {
  const metrics = new Metrics({
    rows: [{ name: 'x', type: 'gauge', help: 'a\nb', labels: { version: 'text' }, read: () => [{ labels: { version: 'a"b\\c\nd 1' }, value: 1 }] }],
    source: null, role: 'agent', nodeName: 'n"', ciliumPrefix: '',
  });
  t.equal(await metrics.text(), '# HELP x a\\nb\n# TYPE x gauge\nx{version="a\\"b\\\\c\\nd 1",node="n\\"",role="agent"} 1\n');
});

t.test('the process tells of its memory, descriptors, collections and delays', async (t) => {
  const readings = new ProcessReadings();
  t.teardown(() => { readings.close(); });
  const metrics = new Metrics({ rows: PROCESS_METRICS, source: { process: readings }, role: 'agent', nodeName: 'n', ciliumPrefix: '' });
  const text = await metrics.text();
  const value = (series: string): number => Number(new RegExp(`^${series}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN);
  t.ok(value('process_resident_memory_bytes') > 10e6);
  t.ok(value('process_open_fds') > 3 && value('process_open_fds') <= value('process_max_fds'));
  t.ok(value('nodejs_heap_size_used_bytes') <= value('nodejs_heap_size_total_bytes'));
  t.ok(Math.abs(value('process_start_time_seconds') + process.uptime() - Date.now() / 1000) < 5);
  t.ok(value('process_cpu_seconds_total') > 0);
  t.match(text, /^nodejs_gc_pause_seconds_total\{kind="major",/m);
});

t.test('a late event loop is seen, and once', async (t) => {
  const readings = new ProcessReadings();
  t.teardown(() => { readings.close(); });
  const BLOCKED_MS = 200;
  const lateSeconds = BLOCKED_MS / 2000;
  const measured = async (times: number): Promise<void> => {
    while (readings.delaysMeasured < times) await new Promise(setImmediate);
  };
  await measured(1);
  const before = readings.delaysMeasured;
  const endMs = performance.now() + BLOCKED_MS;
  while (performance.now() < endMs);
  await measured(before + 1);
  t.ok(readings.takeEventLoopDelay() >= lateSeconds);
  t.equal(readings.takeEventLoopDelay(), 0);
});

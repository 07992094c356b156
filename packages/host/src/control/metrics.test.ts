import t from 'tap';
import { COUNTERS, Counters, LATENCY, LATENCY_BUCKETS_MS } from '@tandem/core';
import { Metrics } from './metrics.js';

t.test('a scrape shows the counters as they are at that moment', async (t) => {
  const counters = new Counters();
  const metrics = new Metrics('agent');
  metrics.registerCounters(COUNTERS, () => counters.words);
  counters.words[0] = 5;
  t.match(await metrics.text(), 'cilium_policy_l7_total{rule="received",proxy_type="fqdn",role="agent"} 5\n');
  counters.words[0] = 7;
  counters.words[Object.keys(COUNTERS).indexOf('answered')] = 6;
  const text = await metrics.text();
  t.match(text, 'cilium_policy_l7_total{rule="received",proxy_type="fqdn",role="agent"} 7\n');
  t.match(text, 'cilium_policy_l7_total{rule="denied",proxy_type="fqdn",role="agent"} 0\n');
  t.match(text, 'tandem_answered_total{role="agent"} 6\n');
  t.match(text, '# TYPE tandem_answered_total counter\n');
  t.match(text, 'tandem_queries_total{role="agent"} 7\n', "ours beside Cilium's");
});

t.test('latency buckets that were filled elsewhere are shown cumulative and in seconds', async (t) => {
  const counters = new Counters();
  const metrics = new Metrics('dns-proxy');
  metrics.registerLatency(LATENCY_BUCKETS_MS, () => counters.latencies('answered'));
  for (const ms of [0.1, 3, 3, 9_000]) counters.latency(LATENCY.answered, ms);
  const text = await metrics.text();
  const labels = 'error="allow",protocol_l7="dns",scope="totalTime"';
  t.match(text, '# TYPE cilium_proxy_upstream_reply_seconds histogram\n');
  t.match(text, `_bucket{${labels},le="0.0005",role="dns-proxy"} 1\n`);
  t.match(text, `_bucket{${labels},le="0.005",role="dns-proxy"} 3\n`);
  t.match(text, `_bucket{${labels},le="+Inf",role="dns-proxy"} 4\n`);
  t.match(text, `_sum{${labels},role="dns-proxy"} 9.0061\n`);
  t.match(text, `_count{${labels},role="dns-proxy"} 4\n`);
});

t.test('gauges are read at each scrape, also one sample per label set', async (t) => {
  const metrics = new Metrics('agent');
  let names = [{ labels: { endpoint: '1' }, value: 2 }, { labels: { endpoint: '2' }, value: 3 }];
  metrics.registerGauge({ name: 'tandem_redundant', help: 'Whether the peer could take over.' }, () => 1);
  metrics.registerGauge({ name: 'cilium_fqdn_active_names', help: 'Names.', labelNames: ['endpoint'] }, () => names);
  metrics.registerProcess();
  t.match(await metrics.text(), /tandem_redundant\{role="agent"\} 1\n[^]*active_names\{endpoint="2",role="agent"\} 3\n[^]*process_resident_memory_bytes\{role="agent"\} \d+/);
  names = names.slice(0, 1);
  t.notMatch(await metrics.text(), 'endpoint="2"', 'a label set that is gone is not shown');
});

import t from 'tap';
import { metricName } from '../control/metrics.js';
import { ProcessReadings } from '../control/process-metrics.js';
import { Node, snapshotOf } from '../pair/testing/members.js';
import { MEMBER_METRICS, memberMetrics } from './member-metrics.js';

/** Labels that every series has. */
const COMMON = ['node', 'role'];

t.test('no two metrics have one name, whatever the prefix', (t) => {
  for (const prefix of ['cilium_', '', 'tandem_', 'hubble_', 'process_', 'nodejs_']) {
    const names = MEMBER_METRICS.map((row) => metricName(row, prefix));
    t.strictSame(names.filter((name, at) => names.indexOf(name) !== at), [], prefix);
  }
  t.end();
});

t.test('names, units and labels are as Prometheus has them', (t) => {
  for (const row of MEMBER_METRICS) {
    const name = metricName(row, 'cilium_');
    t.match(name, /^(tandem|cilium|hubble|process|nodejs)_[a-z][a-z0-9_]*[a-z0-9]$/);
    t.equal(name.endsWith('_total'), row.type === 'counter', `${name}: a counter, and nothing else, ends in _total`);
    t.notMatch(name, /_(ms|milliseconds|kb|mb)(_|$)/, 'base units');
    t.match(row.help, /^.{5,400}\.$/, `${name}: its meaning in a sentence`);
    for (const label of Object.keys(row.labels ?? {})) t.notOk(COMMON.includes(label) || label === 'le' || label === 'instance' || label === 'job', `${name}: ${label}`);
  }
  t.end();
});

t.test('each series has the labels of its row, before there is anything to measure and with a policy', async (t) => {
  const node = new Node();
  const { member } = node.member('agent');
  const process = new ProcessReadings();
  t.teardown(async () => {
    process.close();
    await member.stop();
    node.remove();
  });
  for (const step of ['empty', 'with a policy']) {
    for (const row of MEMBER_METRICS) {
      const reading = row.read({ member, process });
      const samples = typeof reading === 'number' ? [{ labels: {}, value: reading }] : reading;
      for (const { labels, value } of samples) {
        t.strictSame(Object.keys(labels).sort(), Object.keys(row.labels ?? {}).sort(), `${row.name} ${step}`);
        if (typeof value === 'number') t.ok(Number.isFinite(value) && value >= 0, `${row.name} ${step}: ${value}`);
      }
    }
    await member.enforce(snapshotOf(1));
  }
});

t.test('the prefix of the names that Cilium has is a setting', async (t) => {
  const node = new Node();
  const { member } = node.member('agent', { metricsCiliumPrefix: 'pair_' });
  t.teardown(async () => {
    await member.stop();
    node.remove();
  });
  const text = await memberMetrics(member).text();
  t.match(text, /^pair_policy_l7_total\{rule="received",proxy_type="fqdn",node="node",role="agent"\} 0$/m);
  t.notMatch(text, /^cilium_/m);
});

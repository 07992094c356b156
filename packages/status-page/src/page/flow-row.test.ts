import t from 'tap';
import { flowRow, type FlowJson } from './flow-row.js';

const request: FlowJson = {
  time: '2026-01-05T08:00:00.250Z', uuid: 'u1', verdict: 'FORWARDED', IP: { source: '10.0.0.1', destination: '10.0.0.53' },
  l4: { UDP: { source_port: 40000, destination_port: 53 } }, source: { namespace: 'demo', pod_name: 'web' },
  l7: { type: 'REQUEST', dns: { query: 'www.shop.example.', qtypes: ['A'] } },
};

t.test('a request, its answer and a refusal make rows that read alike', (t) => {
  t.match(flowRow(request), { from: 'demo/web:40000', to: '10.0.0.53:53', kind: 'query', name: 'www.shop.example.', types: 'A', verdict: 'FORWARDED', level: 'good', answer: '' });
  const answered = flowRow({
    ...request, is_reply: true, IP: { source: '10.0.0.53', destination: '10.0.0.1' }, l4: { UDP: { source_port: 53, destination_port: 40000 } },
    source: {}, destination: { namespace: 'demo', pod_name: 'web' },
    l7: { type: 'RESPONSE', latency_ns: '2500000', dns: { query: 'www.shop.example.', ips: ['1.2.3.4', '1.2.3.5'], ttl: 30, qtypes: ['A'] } },
  });
  t.match(answered, { from: 'demo/web:40000', to: '10.0.0.53:53', kind: 'answer', answer: '1.2.3.4, 1.2.3.5 (30 s)', latency: '2.5 ms' });
  t.match(flowRow({ ...request, verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED' }), { verdict: 'DROPPED', level: 'bad', answer: 'POLICY_DENIED' });
  t.match(flowRow({ ...request, l7: { type: 'RESPONSE', dns: { rcode: 3 } } }), { answer: 'NXDOMAIN' });
  t.match(flowRow({ ...request, source: {}, IP: { source: '2001:db8::1' } }), { from: '[2001:db8::1]:40000' });
  t.end();
});

t.test('a connection is a row of its own kind, with the names of its other end and the reason', (t) => {
  const denied: FlowJson = {
    time: '2026-01-05T08:00:00.250Z', uuid: 'u2', Type: 'L3_L4', verdict: 'DROPPED', drop_reason_desc: 'POLICY_DENIED', event_type: { type: 5 }, is_reply: false,
    IP: { source: '10.0.0.1', destination: '203.0.113.7' }, l4: { TCP: { source_port: 40000, destination_port: 443 } }, source: { namespace: 'demo', pod_name: 'web' },
    destination_names: ['cnn.com', 'www.cnn.com'],
  };
  const row = { from: 'demo/web:40000', to: '203.0.113.7:443', kind: 'connection', name: 'cnn.com, www.cnn.com', types: 'TCP', verdict: 'DROPPED', level: 'bad', answer: 'POLICY_DENIED', latency: '' };
  t.match(flowRow(denied), row);
  t.match(flowRow({ ...denied, event_type: { type: 1 }, policy_log: ['IDENTITY_STALE'] }), { ...row, kind: 'drop', answer: 'IDENTITY_STALE' });
  t.match(flowRow({ Type: 'L3_L4', verdict: 'FORWARDED', l4: { ICMPv4: {} }, IP: { destination: '203.0.113.7' } }), { to: '203.0.113.7', types: 'ICMPv4', level: 'good', answer: '' });
  t.end();
});

t.test('names of strangers are text, visible and bounded', (t) => {
  const row = flowRow({ ...request, source: { namespace: '<b>', pod_name: '\u202e<img src=x onerror=alert(1)>' }, l7: { dns: { query: `<img src=x onerror=alert(1)>.${'a'.repeat(2_000)}` } } });
  t.match(row.from, '<b>/\\u{202e}<img src=x onerror=alert(1)>');
  t.ok(row.name.length <= 256, `${String(row.name.length)} characters`);
  t.end();
});

t.test('a flow with next to nothing in it is a row, too', (t) => {
  t.match(flowRow({}), { from: '', to: '', name: '', verdict: '', answer: '' });
  t.end();
});

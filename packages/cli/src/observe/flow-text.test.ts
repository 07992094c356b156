import t from 'tap';
import { DropReason, Flow, FlowType, TrafficDirection, Verdict } from '@tandem/proto';
import { coloursFor } from '../colours.js';
import { FakeIo } from '../testing/fake-io.js';
import { FlowPrinter } from './flow-printer.js';
import { hostText } from './flow-text.js';

const io = new FakeIo();
const options = { translatesIps: true, colours: coloursFor(io, 'never') };

function line(flow: Parameters<typeof Flow.fromPartial>[0]): string {
  const out = new FakeIo();
  const printer = new FlowPrinter(out, { ...options, format: 'compact', timeFormat: 'StampMilli', showsNode: false, isSilent: false });
  const whole = Flow.fromPartial(flow);
  printer.print({ responseTypes: { $case: 'flow', value: whole }, nodeName: '', time: whole.time });
  return out.stdout;
}

t.test('connections have the lines of Hubble\'s client', (t) => {
  const syn = {
    time: { seconds: 1_793_872_800n, nanos: 0 }, Type: FlowType.L3_L4, trafficDirection: TrafficDirection.EGRESS, isReply: false, Summary: 'TCP Flags: SYN',
    IP: { source: '10.0.0.7', destination: '203.0.113.7' }, l4: { protocol: { $case: 'TCP' as const, value: { sourcePort: 41_000, destinationPort: 443 } } },
    source: { namespace: 'shop', podName: 'web', identity: 300 }, destination: { identity: 2 }, destinationNames: ['cnn.example', 'www.cnn.example'],
  };
  const start = 'Nov  5 10:00:00.000: shop/web:41000 (ID:300) -> cnn.example,www.cnn.example:443 (world)';
  t.equal(line({ ...syn, eventType: { type: 5 }, verdict: Verdict.DROPPED }), `${start} policy-verdict:none EGRESS DENIED (TCP Flags: SYN)\n`);
  t.equal(line({ ...syn, eventType: { type: 1, subType: 133 }, verdict: Verdict.DROPPED, dropReasonDesc: DropReason.POLICY_DENIED }), `${start} Policy denied DROPPED (TCP Flags: SYN)\n`);
  t.equal(line({ ...syn, eventType: { type: 5 }, policyMatchType: 1, verdict: Verdict.FORWARDED }), `${start} policy-verdict:L3-Only EGRESS ALLOWED (TCP Flags: SYN)\n`);
  t.equal(line({ ...syn, eventType: { type: 5 }, policyMatchType: 4, verdict: Verdict.AUDIT }), `${start} policy-verdict:all EGRESS AUDITED (TCP Flags: SYN)\n`);
  t.equal(line({ ...syn, eventType: { type: 4, subType: 3 }, verdict: Verdict.FORWARDED }), `${start} to-stack FORWARDED (TCP Flags: SYN)\n`);
  t.equal(line({ ...syn, eventType: { type: 1, subType: 181 }, verdict: Verdict.DROPPED }), `${start} Policy denied by denylist DROPPED (TCP Flags: SYN)\n`);
  t.equal(
    line({ ...syn, source: { identity: 0 }, eventType: { type: 1, subType: 132 }, verdict: Verdict.DROPPED, Summary: 'TCP Flags: SYN; IDENTITY_STALE' }),
    'Nov  5 10:00:00.000: 10.0.0.7:41000 (unknown) -> cnn.example,www.cnn.example:443 (world) Invalid source ip DROPPED (TCP Flags: SYN; IDENTITY_STALE)\n',
  );
  t.match(line({ ...syn, isReply: undefined, eventType: { type: 4 } }), ' (ID:300) <> ');
  t.match(line({}), 'N/A:  (unknown) <>  (unknown) UNKNOWN VERDICT_UNKNOWN ()\n');
  t.end();
});

t.test('a host is its pod, else its Service, else its names, else its address', (t) => {
  const IP = { source: 'fd00::7', destination: '10.96.0.10' };
  const text = (flow: Parameters<typeof Flow.fromPartial>[0], translatesIps = true): string => hostText(Flow.fromPartial({ IP, ...flow }), 'source', { ...options, translatesIps });
  t.equal(text({ source: { namespace: 'a', podName: 'b' }, sourceService: { namespace: 'a', name: 'c' } }), 'a/b');
  t.equal(text({ sourceService: { namespace: 'a', name: 'c' }, sourceNames: ['d'] }), 'a/c');
  t.equal(text({ sourceService: { name: 'c' } }), 'c');
  t.equal(text({ sourceNames: ['d', 'e'] }), 'd,e');
  t.equal(text({}), 'fd00::7');
  t.equal(text({ l4: { protocol: { $case: 'UDP', value: { sourcePort: 53 } } } }), '[fd00::7]:53');
  t.equal(text({ l4: { protocol: { $case: 'ICMPv6', value: { type: 128 } } } }), 'fd00::7');
  t.equal(text({ source: { namespace: 'a', podName: 'b' } }, false), 'fd00::7');
  t.end();
});

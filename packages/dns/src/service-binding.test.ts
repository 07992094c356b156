import t from 'tap';
import { SCAN } from './scan-code.js';
import { MAX_HINTS, ServiceBindingHints, scanServiceBinding } from './service-binding.js';
import { hex } from './testing/message-writer.js';

const V6 = '20010db8 00000000 00000000 00000001';

function scan(data: Uint8Array, out = new ServiceBindingHints()): { code: number; out: ServiceBindingHints } {
  // The data lies in a message, behind bytes that would all be hints if read.
  const message = new Uint8Array(400 + data.length).fill(4);
  message.set(data, 300);
  return { code: scanServiceBinding(message, 100, 200, data.length, out), out };
}

t.test('priority, target and both hints are found', (t) => {
  const { code, out } = scan(hex(`0001 00 0001 0003 026832 0003 0002 01bb 0004 0008 c0000201 c0000202 0006 0010 ${V6}`));
  t.equal(code, SCAN.ok);
  t.match(out, { priority: 1, targetOffset: 202, ipv4Count: 2, ipv6Count: 1, droppedCount: 0 });
  t.same([...out.ipv4Offsets.subarray(0, 2)], [220, 224]);
  t.equal(out.ipv6Offsets[0], 232);
  t.end();
});

t.test('an alias gives its target and no hints', (t) => {
  const { code, out } = scan(hex('0000 0161 036f7267 00 0004 0004 c0000201'));
  t.equal(code, SCAN.ok);
  t.match(out, { priority: 0, targetOffset: 202, ipv4Count: 0 });
  t.end();
});

t.test('malformed data gives no hint at all', (t) => {
  const rows: [string, string][] = [
    ['empty', ''],
    ['no target', '0001'],
    ['target runs out', '0001 0361'],
    ['target without root', '0001 0161'],
    ['target compressed', '0001 c00c'],
    ['parameter header runs out', '0001 00 0004 00'],
    ['value runs out', '0001 00 0004 0004 c00002'],
    ['not a multiple of 4', '0001 00 0004 0005 c000020100'],
    ['no address', '0001 00 0004 0000'],
    ['not a multiple of 16', `0001 00 0006 0011 ${V6} 00`],
    ['key twice', '0001 00 0004 0004 c0000201 0004 0004 c0000202'],
    ['keys out of order', '0001 00 0004 0004 c0000201 0003 0002 01bb'],
    ['good hint, then garbage', '0001 00 0004 0004 c0000201 00'],
    ['target too long', `0001 ${'0161'.repeat(128)} 00`],
  ];
  for (const [what, data] of rows) {
    const { code, out } = scan(hex(data));
    t.equal(code, SCAN.recordData, what);
    t.match(out, { ipv4Count: 0, ipv6Count: 0, droppedCount: 0, priority: 0, targetOffset: 0 }, what);
  }
  t.end();
});

t.test('addresses beyond the bound are counted, not taken', (t) => {
  const count = MAX_HINTS + 3;
  const { code, out } = scan(hex(`0001 00 0004 ${(count * 4).toString(16).padStart(4, '0')} ${'c0000201'.repeat(count)}`));
  t.equal(code, SCAN.ok);
  t.match(out, { ipv4Count: MAX_HINTS, droppedCount: 3 });
  t.end();
});

t.test('a range outside the array is refused', (t) => {
  const out = new ServiceBindingHints();
  t.equal(scanServiceBinding(new Uint8Array(10), 0, 5, 6, out), SCAN.recordData);
  t.equal(scanServiceBinding(new Uint8Array(10), -5, 5, 3, out), SCAN.recordData);
  t.end();
});

import t from 'tap';
import { AnswerView, scanAnswer } from '../answer-view.js';
import { EDE, RCODE, TYPE } from '../constants.js';
import { QueryView, scanQuery } from '../query-view.js';
import { recompress } from '../recompress.js';
import { SCAN } from '../scan-code.js';
import { ServiceBindingHints, scanServiceBinding } from '../service-binding.js';
import { Dice, damagedPacket } from '../testing/arbitrary.js';
import { MessageWriter, hex, labelsOf } from '../testing/message-writer.js';
import { DnsCodecError, decodeMessage, encodeMessage, type DnsData, type DnsMessage, type DnsRecord } from './codec.js';

const ALL_FORMS: readonly [string, DnsData][] = [
  ['A', { form: 'address', address: '192.0.2.1' }],
  ['AAAA', { form: 'address', address: '2001:db8::1' }],
  ['CNAME', { form: 'name', target: 'Web.example.org.' }],
  ['DNAME', { form: 'name', target: 'example.com.' }],
  ['NS', { form: 'name', target: 'ns.example.org.' }],
  ['PTR', { form: 'name', target: '.' }],
  ['MX', { form: 'mx', preference: 10, exchange: 'mx.example.org.' }],
  ['SRV', { form: 'srv', priority: 1, weight: 2, port: 53, target: 'a.example.org.' }],
  ['TXT', { form: 'text', texts: ['one', '', 'zwölf'] }],
  ['HTTPS', { form: 'service', priority: 1, target: '.', params: [{ key: 1, value: hex('026832') }, { key: 4, value: hex('c0000201') }] }],
  ['SVCB', { form: 'service', priority: 0, target: 'svc.example.org.', params: [] }],
  ['CAA', { form: 'bytes', bytes: hex('00 05 6973737565 6361') }],
  ['TYPE65534', { form: 'bytes', bytes: hex('00ff') }],
  ['TYPE65534', { form: 'bytes', bytes: hex('') }],
  [
    'SOA',
    {
      form: 'soa',
      primary: 'ns.example.org.',
      mailbox: 'host.example.org.',
      serial: 2026,
      refreshSeconds: 1,
      retrySeconds: 2,
      expireSeconds: 3,
      minimumSeconds: 4,
    },
  ],
];

const records: DnsRecord[] = ALL_FORMS.map(([type, data], i) => ({ name: `n${String(i)}.Example.org.`, type, class: 1, ttlSeconds: 300 + i, data }));

const FULL: DnsMessage = {
  id: 0xbeef,
  response: true,
  opcode: 0,
  authoritative: true,
  truncated: false,
  recursionDesired: true,
  recursionAvailable: true,
  authenticData: true,
  checkingDisabled: false,
  rcode: RCODE.badCookie,
  questions: [{ name: 'www.Example.org.', type: 'HTTPS', class: 1 }],
  answers: records.slice(0, 10),
  authorities: records.slice(10),
  additionals: records.slice(0, 1),
  edns: { udpSize: 1232, version: 0, dnssecOk: true, options: [{ code: 15, data: hex('000f') }, { code: 12, data: hex('') }] },
};

t.test('every form of data comes back as it was written', (t) => {
  const bytes = encodeMessage(FULL);
  t.same(decodeMessage(bytes), FULL);
  const view = new AnswerView();
  t.equal(scanAnswer(bytes, 0, bytes.length, view), SCAN.ok);
  t.match(view, { rcode: RCODE.badCookie, recordCount: 10, hasEdns: true, ednsDnssecOk: true });
  t.same([...view.recordType.subarray(0, 3)], [TYPE.A, TYPE.AAAA, TYPE.CNAME]);
  t.end();
});

t.test('a recompressed message decodes to the same', (t) => {
  const bytes = encodeMessage(FULL);
  const out = new Uint8Array(65535);
  const length = recompress(bytes, 0, bytes.length, out, 0, out.length);
  t.ok(length < bytes.length);
  t.same(decodeMessage(out.subarray(0, length)), FULL);
  t.end();
});

t.test('a message of few words is a plain query', (t) => {
  const bytes = encodeMessage({ id: 1, questions: [{ name: 'x.org', type: 'AAAA' }] });
  const view = new QueryView();
  t.equal(scanQuery(bytes, 0, bytes.length, view), SCAN.ok);
  t.match(view, { id: 1, flags: 0x0100, type: TYPE.AAAA, class: 1, labelCount: 2 });
  t.match(decodeMessage(bytes), { response: false, edns: null, questions: [{ name: 'x.org.', type: 'AAAA', class: 1 }] });
  t.end();
});

t.test('hints in a service record are found by the scanner', (t) => {
  const bytes = encodeMessage({ response: true, questions: [{ name: 'n9.example.org.', type: 'HTTPS' }], answers: [records[9]] });
  const view = new AnswerView();
  scanAnswer(bytes, 0, bytes.length, view);
  const hints = new ServiceBindingHints();
  t.equal(scanServiceBinding(bytes, 0, view.dataOffset[0], view.dataLength[0], hints), SCAN.ok);
  t.match(hints, { priority: 1, ipv4Count: 1 });
  t.same([...bytes.subarray(hints.ipv4Offsets[0], hints.ipv4Offsets[0] + 4)], [192, 0, 2, 1]);
  t.end();
});

t.test('what cannot be put in bytes is refused, by name', (t) => {
  const record = (type: string, data: DnsData, more: Partial<DnsRecord> = {}): Partial<DnsMessage> => ({
    answers: [{ name: 'x.', type, ttlSeconds: 1, data, ...more }],
  });
  const address = (text: string): DnsData => ({ form: 'address', address: text });
  const rows: [string, RegExp, Partial<DnsMessage>][] = [
    ['label too long', /label above 63/, { questions: [{ name: `${'a'.repeat(64)}.`, type: 'A' }] }],
    ['name too long', /longer than 255/, { questions: [{ name: 'abcdefg.'.repeat(32), type: 'A' }] }],
    ['empty label', /empty/, { questions: [{ name: 'a..b', type: 'A' }] }],
    ['empty name', /empty/, { questions: [{ name: '', type: 'A' }] }],
    ['escaped dot', /ASCII/, { questions: [{ name: 'a\\.b.', type: 'A' }] }],
    ['not ASCII', /ASCII/, { questions: [{ name: 'é.', type: 'A' }] }],
    ['unknown type', /no record type/, { questions: [{ name: 'x.', type: 'NOSUCH' }] }],
    ['unknown type of a record', /no record type/, record('NOSUCH', { form: 'bytes', bytes: hex('') })],
    ['class', /class 7/, { questions: [{ name: 'x.', type: 'A', class: 7 }] }],
    ['id', /id 65536/, { id: 65536 }],
    ['rcode', /rcode 4096/, { rcode: 4096, edns: FULL.edns }],
    ['rcode without EDNS', /needs EDNS/, { rcode: 16 }],
    ['OPT as a record', /edns/, record('OPT', { form: 'bytes', bytes: hex('') })],
    ['form', /does not take/, record('A', { form: 'name', target: 'x.' })],
    ['form of a plain type', /does not take/, record('CAA', { form: 'text', texts: [] })],
    ['IPv4', /no IPv4 address/, record('A', address('1.2.3.256'))],
    ['IPv4 as IPv6', /no IPv6 address/, record('AAAA', address('192.0.2.1'))],
    ['IPv6 as IPv4', /no IPv4 address/, record('A', address('::1'))],
    ['IPv6 with too many parts', /IPv6|encoded/, record('AAAA', address('1:2:3:4:5:6:7:8:9'))],
    ['IPv6 with too few parts', /IPv6|encoded/, record('AAAA', address('1:2:3'))],
    ['IPv6 with two gaps', /IPv6|encoded/, record('AAAA', address('1::2::3'))],
    ['IPv6 with a long part', /IPv6|encoded/, record('AAAA', address('12345::1'))],
    ['IPv6 with a zone', /IPv6/, record('AAAA', address('fe80::1%eth0'))],
    ['TTL', /TTL -1/, record('A', address('192.0.2.1'), { ttlSeconds: -1 })],
    ['preference', /preference/, record('MX', { form: 'mx', preference: 70_000, exchange: 'x.' })],
    ['port', /port/, record('SRV', { form: 'srv', priority: 0, weight: 0, port: 70_000, target: 'x.' })],
    ['text too long', /text above 255/, record('TXT', { form: 'text', texts: ['x'.repeat(256)] })],
    ['service key twice', /twice/, record('SVCB', { form: 'service', priority: 1, target: '.', params: [{ key: 1, value: hex('') }, { key: 1, value: hex('') }] })],
    ['service target', /no name/, record('SVCB', { form: 'service', priority: 1, target: '..', params: [] })],
    ['too much', /65535/, { answers: Array.from({ length: 20 }, () => ({ name: 'x.', type: 'TYPE9', ttlSeconds: 1, data: { form: 'bytes', bytes: new Uint8Array(4000) } })) }],
  ];
  for (const [what, message, wrong] of rows) {
    try {
      encodeMessage(wrong);
      t.fail(`${what} was encoded`);
    } catch (error) {
      t.ok(error instanceof DnsCodecError, what);
      t.match(String(error), message, what);
    }
  }
  t.end();
});

t.test('bytes that are no message decode to null', (t) => {
  const header = '1234 8180 0001 0001 0000 0000';
  const question = '0161 00 0001 0001';
  const rows: [string, string][] = [
    ['nothing', ''],
    ['half a header', '1234 8180'],
    ['no question', header],
    ['no record', `${header} ${question}`],
    ['data runs out', `${header} ${question} c00c 0001 0001 00000000 0004 c00002`],
    ['address too short', `${header} ${question} c00c 0001 0001 00000000 0003 c00002`],
    ['pointer loop', `${header} c00c 0001 0001 c00c 0001 0001 00000000 0000`],
    ['two OPT records', `1234 8180 0000 0000 0000 0002 ${'00 0029 04d0 00000000 0000'.repeat(2)}`],
    ['trailing byte', `${header} ${question} c00c 0001 0001 00000000 0004 c0000201 00`],
    ['SVCB keys out of order', `${header} ${question} c00c 0040 0001 00000000 000b 0001 00 0004 0000 0003 0000`],
    ['SVCB target compressed', `${header} ${question} c00c 0040 0001 00000000 0004 0001 c00c`],
  ];
  for (const [what, text] of rows) t.equal(decodeMessage(hex(text)), null, what);
  t.end();
});

t.test('compressed names, odd classes and records without data are read', (t) => {
  const bytes = new MessageWriter({ flags: 0x8180 })
    .question(labelsOf('a.org'), 255, 254)
    .record('answer', labelsOf('a.org'), { type: TYPE.CNAME, class: 3 }, (w) => w.name(labelsOf('b.org')))
    .record('answer', labelsOf('b.org'), { type: TYPE.A, class: 255 }, (w) => w)
    .finish();
  t.match(decodeMessage(bytes), {
    questions: [{ name: 'a.org.', type: 'ANY', class: 254 }],
    answers: [
      { name: 'a.org.', type: 'CNAME', class: 3, data: { form: 'name', target: 'b.org.' } },
      { name: 'b.org.', type: 'A', class: 255, data: { form: 'bytes', bytes: hex('') } },
    ],
  });
  t.end();
});

t.test('our Extended DNS Error is read as an option', (t) => {
  const bytes = encodeMessage({ ...FULL, rcode: RCODE.refused, answers: [], authorities: [], additionals: [] });
  t.match(decodeMessage(bytes)?.edns?.options[0], { code: 15, data: Uint8Array.from([0, EDE.blocked]) });
  t.end();
});

t.test('IPv6 addresses are written right in all their spellings', (t) => {
  const rows: [string, string][] = [
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['1::', `0001${'00'.repeat(14)}`],
    ['::ffff:192.0.2.1', `${'00'.repeat(10)}ffffc0000201`],
    ['2001:DB8:0:0:1::1', '20010db8 00000000 00010000 00000001'],
    ['1:2:3:4:5:6:7:8', '0001 0002 0003 0004 0005 0006 0007 0008'],
  ];
  for (const [address, wire] of rows) {
    const bytes = encodeMessage({ answers: [{ name: '.', type: 'AAAA', ttlSeconds: 1, data: { form: 'address', address } }] });
    t.same(Uint8Array.from(bytes.subarray(-16)), hex(wire), address);
  }
  t.end();
});

t.test('no damaged packet makes the decoder throw', (t) => {
  const dice = new Dice(7);
  const packet = new Uint8Array(1500);
  const seeds = [encodeMessage(FULL), encodeMessage({ ...FULL, edns: { ...FULL.edns!, options: [{ code: 8, data: hex('0001 18 00 c00002') }] }, answers: records.slice(5, 9) })];
  let good = 0;
  for (let i = 0; i < 20_000; i += 1) {
    const length = damagedPacket(dice, seeds, packet, 0, packet.length);
    if (decodeMessage(packet.slice(0, length)) !== null) good += 1;
  }
  t.ok(good > 1000, `${String(good)} were messages all the same`);
  t.end();
});

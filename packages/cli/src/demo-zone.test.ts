import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { RCODE } from '@tandem/dns';
import { decodeMessage, encodeMessage, type DnsMessage } from '@tandem/dns/codec';
import { answerDemoQuery, startDemoZone } from './demo-zone.js';

const UDP = null;
const TCP = 65_535;
/** Sooner than it closes what is idle. */
const CLOSE_MS = 5_000;

function query(name: string, type: string, fields: Partial<DnsMessage> = {}): Uint8Array {
  return encodeMessage({ id: 7, questions: [{ name, type }], ...fields });
}

function ask(name: string, type: string, limit: number | null = UDP, fields: Partial<DnsMessage> = {}): DnsMessage {
  return decodeMessage(answerDemoQuery(query(name, type, fields), limit)!)!;
}

t.test('the zone has one of each kind of answer', (t) => {
  t.match(ask('www.shop.example.', 'A'), { id: 7, response: true, authoritative: true, rcode: 0, answers: [{ data: { address: '198.51.100.10' } }] });
  t.match(ask('www.shop.example.', 'AAAA').answers, [{ data: { address: '2001:db8:100::10' } }]);
  t.match(ask('www.shop.example.', 'HTTPS').answers, [{ type: 'HTTPS', data: { form: 'service', priority: 1 } }]);
  t.match(ask('note.shop.example.', 'TXT').answers, [{ data: { form: 'text' } }]);
  t.strictSame(ask('cdn.shop.example.', 'A').answers.map(({ name, type }) => `${name} ${type}`),
    ['cdn.shop.example. CNAME', 'edge.cdn.example. CNAME', 'node7.cdn.example. A'], 'an alias chain');
  t.match(ask('absent.shop.example.', 'A'), { rcode: RCODE.nxDomain, answers: [], authorities: [{ type: 'SOA' }] });
  t.match(ask('api.shop.example.', 'AAAA'), { rcode: RCODE.noError, answers: [], authorities: [{ type: 'SOA' }] });
  t.match(ask('wWw.ShOp.example.', 'A'), { questions: [{ name: 'wWw.ShOp.example.' }], answers: [{ name: 'wWw.ShOp.example.' }] }, 'letters as asked');
  t.end();
});

t.test('an answer too large for UDP is truncated, and whole over TCP', (t) => {
  t.match(ask('big.shop.example.', 'TXT'), { truncated: true, answers: [] });
  t.equal(ask('big.shop.example.', 'TXT', TCP).answers.length, 12);
  const edns = { udpSize: 4096, version: 0, dnssecOk: false, options: [] };
  t.match(ask('many.shop.example.', 'A', UDP, { edns }), { truncated: true, edns: { udpSize: 1232 } });
  t.equal(ask('many.shop.example.', 'A', TCP, { edns }).answers.length, 100);
  t.end();
});

t.test('bad bytes get FORMERR or nothing', (t) => {
  t.equal(answerDemoQuery(Uint8Array.of(1, 2, 3), UDP), null);
  t.equal(answerDemoQuery(encodeMessage({ response: true }), UDP), null, 'an answer gets no answer');
  t.match(decodeMessage(answerDemoQuery(query('a.example.', 'A').subarray(0, 20), UDP)!), { id: 7, rcode: RCODE.formErr });
  t.match(decodeMessage(answerDemoQuery(encodeMessage({ questions: [] }), UDP)!), { rcode: RCODE.formErr });
  t.match(ask('a.example.', 'A', UDP, { opcode: 5 }), { rcode: RCODE.notImp });
  t.end();
});

t.test('it serves UDP and TCP on one port, pipelined and in pieces', async (t) => {
  const zone = await startDemoZone('127.0.0.1');
  t.teardown(() => zone.close());
  const overUdp = await new Promise<Uint8Array>((resolve) => {
    const socket = createSocket('udp4', (bytes) => {
      socket.close();
      resolve(bytes);
    });
    socket.send(query('www.shop.example.', 'A'), zone.port, zone.address);
  });
  t.match(decodeMessage(overUdp), { rcode: 0, answers: [{}] });

  const framed = [1, 2].map((id) => {
    const bytes = query('big.shop.example.', 'TXT', { id });
    return Buffer.concat([Buffer.from([0, bytes.length]), bytes]);
  });
  const both = Buffer.concat(framed);
  const received = await new Promise<Buffer>((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const socket = connect(zone.port, zone.address, () => {
      socket.write(both.subarray(0, 1), () => { socket.write(both.subarray(1)); });
    });
    socket.on('error', reject).on('data', (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      const first = bytes.length >= 2 ? 2 + bytes.readUInt16BE(0) : Infinity;
      if (bytes.length >= first + 2 && bytes.length >= first + 2 + bytes.readUInt16BE(first)) {
        socket.destroy();
        resolve(bytes);
      }
    });
  });
  t.match(decodeMessage(received.subarray(2, 2 + received.readUInt16BE(0))), { id: 1, answers: { length: 12 } });

  const socket = connect(zone.port, zone.address);
  t.teardown(() => socket.destroy());
  const answered: Buffer[] = [];
  socket.on('data', (piece) => answered.push(piece)).on('error', () => undefined).write(Buffer.from([0, 3, 1, 2, 3]));
  await t.resolves(once(socket, 'close', { signal: AbortSignal.timeout(CLOSE_MS) }), 'a frame that is no message closes its connection');
  t.strictSame(answered, [], 'without an answer');
});

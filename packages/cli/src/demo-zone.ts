/**
 * The upstream of `tandem up`: a small authoritative server for `example.`, over UDP and TCP on loopback. It holds one of each
 * thing a proxy has to do with: A, AAAA, aliases within and across zones, TXT, HTTPS with address hints, and answers too large
 * for UDP. Bounded in connections, idle time and message size; bad bytes get FORMERR or a closed connection.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { RCODE } from '@tandem/dns';
import { decodeMessage, encodeMessage, type DnsData, type DnsMessage, type DnsRecord } from '@tandem/dns/codec';

/** Loopback address of the server; `examples/quickstart` has a kube-dns pod with it. */
export const DEMO_ADDRESS = '127.0.0.153';

export interface DemoZone {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

const TTL_SECONDS = 30;
const UDP_BYTES_DEFAULT = 512; // RFC 1035 §4.2.1
const UDP_BYTES_MAX = 1232;
const TCP_CONNECTIONS_MAX = 64;
const TCP_IDLE_MS = 10_000;
const LENGTH_BYTES = 2;
const MESSAGE_BYTES_MAX = 65_535;
const ALIAS_LINKS_MAX = 8;
/** UDP and TCP need the same port; another process may hold the TCP one. */
const PORT_TRIES = 8;

const ZONE = 'example.';
const SERVER_NAME = 'ns.example.';

/** Starts on a free port. Rejects with Node's own error if the address is not to be had. */
export async function startDemoZone(address = DEMO_ADDRESS): Promise<DemoZone> {
  for (let tries = 1; ; tries++) {
    const udp = await bindUdp(address);
    const { port } = udp.address();
    try {
      const tcp = await listenTcp(address, port);
      return { address, port, close: () => close(udp, tcp) };
    } catch (error) {
      udp.close();
      if (tries === PORT_TRIES || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

/** The answer to the bytes of a query, at most `bytesMax` long (then TC is set); null for what deserves none. */
export function answerDemoQuery(bytes: Uint8Array, bytesMax: number | null): Uint8Array | null {
  const query = decodeMessage(bytes);
  if (query === null || query.response || query.questions.length !== 1) return formErr(bytes);
  const limit = bytesMax ?? Math.min(Math.max(query.edns?.udpSize ?? 0, UDP_BYTES_DEFAULT), UDP_BYTES_MAX);
  const reply: Partial<DnsMessage> = {
    id: query.id, response: true, opcode: query.opcode, authoritative: true, recursionDesired: query.recursionDesired,
    questions: query.questions,
    edns: query.edns === null ? null : { udpSize: UDP_BYTES_MAX, version: 0, dnssecOk: false, options: [] },
  };
  const whole = encodeMessage({ ...reply, ...resolve(query) });
  return whole.length <= limit ? whole : encodeMessage({ ...reply, truncated: true });
}

function resolve(query: DnsMessage): Partial<DnsMessage> {
  if (query.opcode !== 0) return { rcode: RCODE.notImp };
  const { name, type } = query.questions[0];
  const answers: DnsRecord[] = [];
  let owner = name;
  for (let link = 0; link <= ALIAS_LINKS_MAX; link++) {
    const records = RECORDS.get(owner.toLowerCase());
    if (records === undefined) {
      // The end of a chain that leads out of the zone is not ours to deny.
      return { answers, authorities: [SOA], rcode: answers.length === 0 ? RCODE.nxDomain : RCODE.noError };
    }
    const wanted = records.filter((record) => record.type === type);
    answers.push(...wanted.map((record) => ({ ...record, name: owner })));
    const alias = records.find((record) => record.data.form === 'name' && record.type === 'CNAME');
    if (wanted.length > 0 || alias?.data.form !== 'name') break;
    answers.push({ ...alias, name: owner });
    owner = alias.data.target;
  }
  return answers.length > 0 ? { answers } : { authorities: [SOA] };
}

function formErr(bytes: Uint8Array): Uint8Array | null {
  // Too short for an ID, or itself an answer: replying could start a loop.
  if (bytes.length < 12 || (bytes[2] & 0x80) !== 0) return null;
  return encodeMessage({ id: (bytes[0] << 8) | bytes[1], response: true, recursionDesired: false, rcode: RCODE.formErr });
}

const SOA: DnsRecord = {
  name: ZONE, type: 'SOA', ttlSeconds: TTL_SECONDS,
  data: {
    form: 'soa', primary: SERVER_NAME, mailbox: 'admin.example.', serial: 1, refreshSeconds: 3600, retrySeconds: 600,
    expireSeconds: 86_400, minimumSeconds: TTL_SECONDS,
  },
};

/** Keys are lower case with the trailing dot. */
const RECORDS: ReadonlyMap<string, readonly DnsRecord[]> = byName([
  SOA,
  record(ZONE, 'NS', { form: 'name', target: SERVER_NAME }),
  record(SERVER_NAME, 'A', { form: 'address', address: DEMO_ADDRESS }),
  record('shop.example.', 'A', { form: 'address', address: '198.51.100.10' }),
  record('shop.example.', 'MX', { form: 'mx', preference: 10, exchange: 'mail.shop.example.' }),
  record('www.shop.example.', 'A', { form: 'address', address: '198.51.100.10' }),
  record('www.shop.example.', 'AAAA', { form: 'address', address: '2001:db8:100::10' }),
  record('www.shop.example.', 'HTTPS', {
    form: 'service', priority: 1, target: '.',
    params: [
      { key: 1, value: Uint8Array.of(2, 0x68, 0x32) }, // alpn=h2
      { key: 4, value: Uint8Array.of(198, 51, 100, 10) }, // ipv4hint
      { key: 6, value: Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10) }, // ipv6hint
    ],
  }),
  record('api.shop.example.', 'A', { form: 'address', address: '198.51.100.20' }),
  record('cdn.shop.example.', 'CNAME', { form: 'name', target: 'edge.cdn.example.' }),
  record('edge.cdn.example.', 'CNAME', { form: 'name', target: 'node7.cdn.example.' }),
  record('node7.cdn.example.', 'A', { form: 'address', address: '203.0.113.70' }),
  record('node7.cdn.example.', 'AAAA', { form: 'address', address: '2001:db8:113::70' }),
  record('note.shop.example.', 'TXT', { form: 'text', texts: ['served by the demo zone of Tandem'] }),
  ...Array.from({ length: 100 }, (_, i) => record('many.shop.example.', 'A', { form: 'address', address: `198.51.100.${100 + i}` })),
  ...Array.from({ length: 12 }, (_, i) => record('big.shop.example.', 'TXT', { form: 'text', texts: [`${i} ${'x'.repeat(200)}`] })),
  record('api.partner.example.', 'A', { form: 'address', address: '203.0.113.5' }),
  record('api.partner.example.', 'AAAA', { form: 'address', address: '2001:db8:113::5' }),
  record('internal.bank.example.', 'A', { form: 'address', address: '203.0.113.99' }),
]);

function record(name: string, type: string, data: DnsData): DnsRecord {
  return { name, type, ttlSeconds: TTL_SECONDS, data };
}

function byName(records: readonly DnsRecord[]): Map<string, DnsRecord[]> {
  return Map.groupBy(records, (entry) => entry.name);
}

function bindUdp(address: string): Promise<UdpSocket> {
  const socket = createSocket('udp4', (bytes, from: RemoteInfo) => {
    const reply = answerDemoQuery(bytes, null);
    // A client that is gone by now is no fault of ours.
    if (reply !== null) socket.send(reply, from.port, from.address, () => undefined);
  });
  return new Promise((done, failed) => {
    socket.once('error', failed);
    socket.bind({ address, port: 0 }, () => {
      socket.off('error', failed);
      done(socket);
    });
  });
}

interface StreamServer {
  readonly server: Server;
  readonly sockets: Set<Socket>;
}

function listenTcp(address: string, port: number): Promise<StreamServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => { sockets.delete(socket); });
    serveStream(socket);
  });
  server.maxConnections = TCP_CONNECTIONS_MAX;
  return new Promise((done, failed) => {
    server.once('error', failed);
    server.listen({ host: address, port }, () => {
      server.off('error', failed);
      done({ server, sockets });
    });
  });
}

/** RFC 7766 framing: two bytes of length before each message; several may be under way. */
function serveStream(socket: Socket): void {
  let pending = Buffer.alloc(0);
  socket.setTimeout(TCP_IDLE_MS, () => { socket.destroy(); });
  socket.on('error', () => { socket.destroy(); });
  socket.on('data', (piece) => {
    pending = Buffer.concat([pending, piece]);
    while (pending.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + pending.readUInt16BE(0);
      if (pending.length < end) break;
      const reply = answerDemoQuery(pending.subarray(LENGTH_BYTES, end), MESSAGE_BYTES_MAX);
      pending = pending.subarray(end);
      if (reply === null) {
        socket.destroy();
        return;
      }
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt16BE(reply.length);
      // A client that asks without reading is not served into memory.
      if (!socket.write(Buffer.concat([length, reply]))) {
        socket.pause();
        socket.once('drain', () => { socket.resume(); });
      }
    }
  });
}

async function close(udp: UdpSocket, tcp: StreamServer): Promise<void> {
  await new Promise<void>((done) => { udp.close(done); });
  for (const socket of tcp.sockets) socket.destroy();
  await new Promise<void>((done) => { tcp.server.close(() => { done(); }); });
}

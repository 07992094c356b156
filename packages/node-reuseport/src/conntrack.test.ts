import { execFileSync } from 'node:child_process';
import t from 'tap';
import { type ConnectionDump, connectionStride, ConnectionWord, deleteConnections, dumpConnections, markConnections, NETLINK, netlinkExchange } from './index.js';
import { type Connection, line, newConnection, Protocol } from './testing/connections.js';
import { enterOwnNamespace } from './testing/namespace.js';
import { concat } from './testing/netlink-messages.js';

enterOwnNamespace();

const ours = 0x80000000;
const EMSGSIZE = 90;
const EPERM = 1;
const deadlineMs = 5000;
const everything = { mark: 0, mask: 0, deadlineMs };

async function put(...connections: readonly Connection[]): Promise<void> {
  const request = concat(...connections.map((connection, i) => newConnection(i + 1, connection)));
  const reply = await netlinkExchange({ protocol: NETLINK.netfilter, request, deadlineMs, bytesMax: 4096 });
  if (reply.errno !== 0) throw new Error(`connection ${String(reply.sequence)}: errno ${String(reply.errno)} ${reply.message}`);
}

const lines = ({ rows }: ConnectionDump): readonly string[] =>
  Array.from({ length: rows.length / connectionStride }, (_, i) => line(rows, i)).sort();

const pod = { address: '10.1.0.5', port: 40000 };
const pod6 = { address: 'fd00:1:0:0:0:0:0:5', port: 40006 };
const all: readonly Connection[] = [
  { protocol: Protocol.TCP, source: pod, destination: { address: '10.96.0.1', port: 443 }, backend: { address: '192.0.2.7', port: 6443 }, mark: ours | 5 },
  { protocol: Protocol.UDP, source: pod6, destination: { address: '2001:db8:0:0:0:0:0:1', port: 53 }, mark: ours, zone: 7 },
  { protocol: Protocol.ICMP, source: { address: pod.address, port: 77 }, destination: { address: '192.0.2.9', port: 8 << 8 }, mark: ours },
  { protocol: Protocol.ICMPV6, source: { address: pod6.address, port: 78 }, destination: { address: '2001:db8:0:0:0:0:0:2', port: 128 << 8 }, mark: ours },
  { protocol: Protocol.TCP, source: pod, destination: { address: '192.0.2.8', port: 80 }, mark: 5 },
];

t.test('rows have both directions, ports, ICMP and mark, and the kernel sorts by mark', async (t) => {
  await put(...all);
  const dump = await dumpConnections({ mark: ours, mask: ours, deadlineMs });
  t.equal(dump.errno, 0);
  t.same(lines(dump), [
    '1 10.1.0.5#77>192.0.2.9#0 192.0.2.9#77>10.1.0.5#0 icmp=8000000 mark=80000000 zone=0',
    '17 fd00:1:0:0:0:0:0:5#40006>2001:db8:0:0:0:0:0:1#53 2001:db8:0:0:0:0:0:1#53>fd00:1:0:0:0:0:0:5#40006 icmp=0 mark=80000000 zone=7',
    '58 fd00:1:0:0:0:0:0:5#78>2001:db8:0:0:0:0:0:2#0 2001:db8:0:0:0:0:0:2#78>fd00:1:0:0:0:0:0:5#0 icmp=80008100 mark=80000000 zone=0',
    '6 10.1.0.5#40000>10.96.0.1#443 192.0.2.7#6443>10.1.0.5#40000 icmp=0 mark=80000005 zone=0',
  ]);
  t.equal((await dumpConnections({ mark: 5, mask: 15, deadlineMs })).rows.length, 2 * connectionStride);
  t.equal((await dumpConnections(everything)).rows.length, all.length * connectionStride);
  t.equal((await dumpConnections({ mark: 9, mask: 15, deadlineMs })).rows.length, 0);
});

t.test('connections are marked by row, in the bits that are asked for', async (t) => {
  const { rows } = await dumpConnections({ mark: ours, mask: ours, deadlineMs });
  t.match(await markConnections({ rows, deadlineMs, mark: 0x40, mask: 0x41 }), { errno: 0, changed: 4, absent: 0 });
  t.same(lines(await dumpConnections({ mark: 0x40, mask: 0x40, deadlineMs })).map((one) => /mark=\w+/.exec(one)![0]), ['mark=80000040', 'mark=80000040', 'mark=80000040', 'mark=80000044']);
  t.match(await markConnections({ rows, deadlineMs, mark: 1, mask: 0x41 }), { errno: 0, changed: 4 });
  t.match(await markConnections({ rows, deadlineMs, mark: 5, mask: 5 }), { errno: 0, changed: 4 });
  t.match(await markConnections({ rows, deadlineMs, mark: 0, mask: 1 }), { errno: 0, changed: 4 });
  await t.rejects(markConnections({ rows, deadlineMs, mark: 2, mask: 1 }), /mark/);
});

t.test('connections are deleted by row, those that are gone count apart, and no others go', async (t) => {
  const { rows } = await dumpConnections({ mark: ours, mask: ours, deadlineMs });
  t.match(await deleteConnections({ rows: rows.subarray(0, connectionStride), deadlineMs }), { errno: 0, changed: 1, absent: 0 });
  t.match(await deleteConnections({ rows, deadlineMs }), { errno: 0, changed: 3, absent: 1 });
  t.same(lines(await dumpConnections(everything)), ['6 10.1.0.5#40000>192.0.2.8#80 192.0.2.8#80>10.1.0.5#40000 icmp=0 mark=5 zone=0']);
  t.match(await deleteConnections({ rows: new Uint32Array(0), deadlineMs }), { errno: 0, changed: 0 });
});

t.test('a connection that has the addresses and ports of another, but is not that one, is not deleted for it', async (t) => {
  const { rows } = await dumpConnections(everything);
  const other = rows.slice();
  other[ConnectionWord.ID] ^= 1;
  t.match(await deleteConnections({ rows: other, deadlineMs }), { errno: 0, changed: 0, absent: 1 });
  t.equal((await dumpConnections(everything)).rows.length, connectionStride);
  t.match(await deleteConnections({ rows, deadlineMs }), { errno: 0, changed: 1 });
});

t.test('thousands are read and deleted, and more than allowed is no answer', async (t) => {
  const many = 3000;
  await put(...Array.from({ length: many }, (_, i) => ({ ...all[0], source: { address: '10.1.0.6', port: i + 1 } })));
  const dump = await dumpConnections({ mark: ours, mask: ours, deadlineMs });
  t.equal(dump.rows.length, many * connectionStride);
  const ids = new Set(Array.from({ length: many }, (_, i) => dump.rows[i * connectionStride + ConnectionWord.ID]));
  t.equal(ids.size, many);
  t.match(await dumpConnections({ mark: ours, mask: ours, deadlineMs, connectionsMax: many - 1 }), { errno: EMSGSIZE, message: /larger than allowed/ });
  t.match(await deleteConnections({ rows: dump.rows, deadlineMs }), { errno: 0, changed: many, absent: 0 });
});

t.test('what a program without the right to it asks for is refused with a reason, and nonsense at once', async (t) => {
  const invalid = { code: 'ERR_INVALID_ARG_VALUE' };
  await t.rejects(dumpConnections({ ...everything, mark: -1 }), invalid);
  await t.rejects(dumpConnections({ ...everything, connectionsMax: 0 }), invalid);
  await t.rejects(deleteConnections({ rows: new Uint32Array(5), deadlineMs }), invalid);
  const script = `import { dumpConnections } from ${JSON.stringify(new URL('index.js', import.meta.url).href)};
    console.log((await dumpConnections({ mark: 0, mask: 0, deadlineMs: 1000 })).errno);`;
  const unprivileged = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', process.execPath, '--input-type=module', '-e', script];
  t.equal(execFileSync(unprivileged[0], unprivileged.slice(1), { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } }).trim(), String(EPERM));
});

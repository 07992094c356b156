/**
 * Reads a connection table of which a part is ours, and deletes that part; how long each takes and how long the event loop stood
 * still meanwhile. In a network namespace of its own; root. Run: node dist/conntrack.bench.js [ours] [others]
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { type ConnectionDump, connectionStride, deleteConnections, dumpConnections, NETLINK, netlinkExchange } from './index.js';
import { newConnection, Protocol } from './testing/connections.js';
import { enterOwnNamespace } from './testing/namespace.js';
import { concat } from './testing/netlink-messages.js';

enterOwnNamespace();

const ours = 0x80000000;
const deadlineMs = 60_000;
const perRequest = 2000;
const rounds = 11;

/** TCP connections of pods with outside addresses; every fourth is IPv6. */
async function put(count: number, mark: number, network: number): Promise<void> {
  for (let start = 0; start < count; start += perRequest) {
    const messages = Array.from({ length: Math.min(perRequest, count - start) }, (_, i) => {
      const n = start + i;
      const v6 = n % 4 === 3;
      const host = `${String((n >> 12) & 255)}`;
      const source = { address: v6 ? `fd00:${String(network)}:0:0:0:0:0:${host}` : `10.${String(network)}.0.${host}`, port: 1024 + (n & 4095) };
      const destination = { address: v6 ? '2001:db8:0:0:0:0:0:1' : '192.0.2.1', port: 443 };
      return newConnection(i + 1, { protocol: Protocol.TCP, source, destination, mark });
    });
    const reply = await netlinkExchange({ protocol: NETLINK.netfilter, request: concat(...messages), deadlineMs, bytesMax: 4096 });
    if (reply.errno !== 0) throw new Error(`connection ${String(reply.sequence)}: errno ${String(reply.errno)} ${reply.message}`);
  }
}

function report(what: string, timesMs: readonly number[]): void {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.floor((sorted.length - 1) * share)].toFixed(1);
  process.stdout.write(`${what}: least ${at(0)}, median ${at(0.5)}, most ${at(1)} ms\n`);
}

const [oursCount, othersCount] = [Number(process.argv[2] ?? 100_000), Number(process.argv[3] ?? 0)];
await put(oursCount, ours, 1);
await put(othersCount, 0, 2);
let dump: ConnectionDump | null = null;
const times: number[] = [];
const blocked: number[] = [];
for (let round = 0; round < rounds; round++) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const startedMs = performance.now();
  dump = await dumpConnections({ mark: ours, mask: ours, deadlineMs });
  times.push(performance.now() - startedMs);
  delay.disable();
  blocked.push(delay.max / 1e6);
  if (dump.errno !== 0 || dump.rows.length !== oursCount * connectionStride) throw new Error(`${String(dump.rows.length)} words: ${dump.message}`);
}
report(`dump of ${String(oursCount)} of ${String(oursCount + othersCount)}`, times);
report('longest turn of the event loop meanwhile (timer of 1 ms)', blocked);
const startedMs = performance.now();
const deletion = await deleteConnections({ rows: dump!.rows, deadlineMs });
report(`deletion of ${String(deletion.changed)}`, [performance.now() - startedMs]);

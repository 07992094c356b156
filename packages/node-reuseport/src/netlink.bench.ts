/**
 * One element added to an nftables set that has many, by NetlinkWriter: time from `submit` to the completion in this thread, alone
 * and with many under way. In a network namespace of its own; root. Run: node dist/netlink.bench.js
 * [elements in the set] [other chains in the table]
 */
import { execFileSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { completionStride, Journal, NETLINK, NetlinkWriter, Reactor, ReadyEvent } from './index.js';
import { enterOwnNamespace } from './testing/namespace.js';
import { batch, setElements } from './testing/netlink-messages.js';

enterOwnNamespace();

const where = { table: 'bench', set: 's' };
const perRequest = 500;
const singles = 5000;
const windowRequests = 256;
const tens = 100;
const patienceMs = 10_000;

execFileSync('nft', ['-f', '-'], { input: 'add table inet bench; add set inet bench s { type ipv4_addr; flags timeout; timeout 1h; }' });
const chains = Number(process.argv[3] ?? 0);
const rule = 'ip daddr @s counter accept';
const chain = (_: unknown, i: number): string => `add chain inet bench c${String(i)}; ${Array.from({ length: 3 }, () => `add rule inet bench c${String(i)} ${rule}`).join('; ')}`;
execFileSync('nft', ['-f', '-'], { input: Array.from({ length: chains }, chain).join('\n') });
const writer = new NetlinkWriter({ protocol: NETLINK.netfilter, capacity: windowRequests, bytesMax: 65536 });
const journal = Journal.create({ slots: 1, batch: 1 });
const reactor = new Reactor(journal);
reactor.watch(writer.fd, 1, ReadyEvent.IN);
const rows = new Int32Array(completionStride * windowRequests);

function waitFor(count: number): void {
  for (let done = 0; done < count; ) {
    reactor.step(0, patienceMs);
    const found = writer.completions(rows);
    for (let i = 0; i < found; i++) if (rows[i * completionStride + 1] !== 0) throw new Error(`errno ${String(rows[i * completionStride + 1])}`);
    done += found;
  }
}

const elements = (first: number, count: number): Uint8Array =>
  batch(setElements('add', 1, where, Array.from({ length: count }, (_, i) => first + i)));

function single(what: string, requests: readonly Uint8Array[]): void {
  const timesUs = requests.map((request) => {
    const startedMs = performance.now();
    writer.submit(request, 1);
    waitFor(1);
    return (performance.now() - startedMs) * 1000;
  }).sort((a, b) => a - b);
  const at = (share: number): string => timesUs[Math.floor((timesUs.length - 1) * share)].toFixed(1);
  process.stdout.write(`${what}: median ${at(0.5)}, 99 of 100 below ${at(0.99)}, most ${at(1)} µs\n`);
}

const present = Number(process.argv[2] ?? 50_000);
let next = 0x0a00_0000;
for (let added = 0; added < present; added += perRequest) {
  writer.submit(elements(next, Math.min(perRequest, present - added)), 1);
  waitFor(1);
  next += perRequest;
}
const fresh = Array.from({ length: singles }, () => elements(next++, 1));
single(`one element into ${String(present)}, ${String(chains)} chains`, fresh);
single('one element that is there', fresh);
single('a hundred elements', Array.from({ length: tens }, () => elements((next += 100) - 100, 100)));

const many = Array.from({ length: singles }, () => elements(next++, 1));
const startedMs = performance.now();
for (let at = 0; at < many.length; at += windowRequests) {
  const part = many.slice(at, at + windowRequests);
  for (const request of part) writer.submit(request, 1);
  waitFor(part.length);
}
process.stdout.write(`${String(windowRequests)} under way: ${(((performance.now() - startedMs) * 1000) / many.length).toFixed(1)} µs each\n`);
let submittedMs = 0;
for (const request of many.slice(0, windowRequests)) {
  const beforeMs = performance.now();
  writer.submit(request, 1);
  submittedMs += performance.now() - beforeMs;
}
waitFor(windowRequests);
process.stdout.write(`the submitter's own part: ${((submittedMs * 1000) / windowRequests).toFixed(1)} µs each\n`);
reactor.close();
writer.close();

/**
 * Ten followers of one member's flows, one of them stalled, while the pair makes 10,000 flows a second: answers do not notice, memory stays
 * bounded, and whoever misses flows is told how many.
 */
import { join } from 'node:path';
import t from 'tap';
import { credentials, type ClientReadableStream, makeGenericClientConstructor } from '@grpc/grpc-js';
import { residentMb } from '../bench/cpu.js';
import { ownAddress } from '../harness/address.js';
import { UdpClient } from '../harness/clients.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate } from '../harness/native.js';
import { formatServer, peerOf } from '../harness/pair.js';
import { DEADLINE_MS, until } from '../harness/until.js';
import { buildQuery, TYPE } from '../harness/wire.js';
import { startLoaded } from './start.js';

const QUERIES_PER_SECOND = 5_000;
const FLOWS_PER_QUERY = 2;
const SECONDS = 10;
const FOLLOWERS = 10;
/** What is still in the rings goes to ten followers and through this process: on two busy cores that takes a while. */
const CATCH_UP_MS = 120_000;
/** In the name of the last query before the load. */
const MARK = 'the-mark';
/** MB that the member may take for its followers: decoded flows that they share, and what gRPC has in hand for each. */
const GROWTH_MB_MAX = 80;

const manifests = { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) };
const pair = await startLoaded(t, { manifests });

/** Bytes as they come: to decode all of them here would take the processor from what is measured. */
const Observer = makeGenericClientConstructor({
  GetFlows: {
    path: '/observer.Observer/GetFlows', requestStream: false, responseStream: true,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes, responseSerialize: (bytes: Buffer) => bytes, responseDeserialize: (bytes: Buffer) => bytes,
  },
}, 'Observer');

type Call = ClientReadableStream<Buffer>;

/** `follow` (field 3) of a GetFlowsRequest. */
const FOLLOW = Buffer.from([0x18, 1]);
/** A GetFlowsResponse begins with a flow (field 1) or with lost events (field 3), in which num_events_lost is field 2. */
const FLOW_TAG = 0x0a;
const LOST_TAG = 0x1a;
const LOST_COUNT_TAG = 0x10;

/** Of a response that begins with LOST_TAG; all numbers in it are varints below 2^35, its first field is the source. */
function lostIn(bytes: Buffer): number {
  const at = bytes.indexOf(LOST_COUNT_TAG, 2);
  let count = 0;
  for (let i = at + 1, factor = 1; ; i++, factor *= 0x80) {
    count += (bytes[i] & 0x7f) * factor;
    if (bytes[i] < 0x80) return count;
  }
}

class Follower {
  flows = 0;
  lost = 0;
  isLostTold = false;
  isAtMark = false;
  private readonly call: Call;

  constructor(socket: string) {
    const client = new Observer(`unix:${socket}`, credentials.createInsecure()) as unknown as { GetFlows(request: Buffer): Call; close(): void };
    this.call = client.GetFlows(FOLLOW);
    this.call.on('data', (bytes: Buffer) => this.take(bytes));
    this.call.on('error', () => undefined); // cancelled at the end
    t.teardown(() => {
      this.call.cancel();
      client.close();
    });
  }

  stall(): void {
    this.call.pause();
  }

  goOn(): void {
    this.call.resume();
  }

  private take(bytes: Buffer): void {
    if (bytes[0] === FLOW_TAG) {
      this.flows++;
      // Of a query's two flows the answer is the last.
      this.isAtMark ||= bytes.includes('DNS Answer') && bytes.includes(MARK);
      return;
    }
    if (bytes[0] !== LOST_TAG) return;
    this.isLostTold = true;
    this.lost += lostIn(bytes);
  }
}

async function flowsWritten(): Promise<number> {
  return (await pair.metric('agent', 'flows')) + (await pair.metric('dns-proxy', 'flows'));
}

for (const role of ['agent', 'dns-proxy'] as const) {
  t.test(`ten followers of ${role}, one stalled, at 10,000 flows a second`, async (t) => {
    const socket = join(pair.runDir, `${role}-hubble.sock`);
    const followers = Array.from({ length: FOLLOWERS }, () => new Follower(socket));
    const client = await UdpClient.open(CLIENT_A, pair.server);
    // A follower sees what comes after its call has begun.
    await until('every follower to see flows', DEADLINE_MS, async () => {
      await client.ask(buildQuery({ name: 'h0.bench.test', type: TYPE.A }));
      return followers.every(({ flows }) => flows > 0) ? true : null;
    });
    await client.ask(buildQuery({ name: `${MARK}.bench.test`, type: TYPE.A }));
    client.close();
    await until('every follower at the mark', DEADLINE_MS, () => (followers.every(({ isAtMark }) => isAtMark) ? true : null));
    const before = await flowsWritten();
    const seenBefore = followers.map(({ flows }) => flows);
    const [stalled, ...readers] = followers;
    stalled.stall();
    const residentBefore = residentMb(pair.member(role).pid);
    const alone = residentMb(pair.member(peerOf(role)).pid);
    const load = await generate([
      '--server', formatServer(pair.server), '--bind', CLIENT_A, '--clients', '200', '--window', '2000', '--rate', String(QUERIES_PER_SECOND), '--seconds', String(SECONDS),
    ]);
    t.match(load, { lost: 0, wrong: 0, failed: 0, refused: 0, unexpected: 0 }, 'no answer notices');
    t.ok(load.answered >= QUERIES_PER_SECOND * SECONDS * 0.9, `${String(load.answered)} answers`);
    const grown = residentMb(pair.member(role).pid) - residentBefore;
    t.comment(`p50 ${String(load.p50Us)} µs, p99 ${String(load.p99Us)} µs, longest ${String(load.maxUs)} µs; ${role} grew by ${grown.toFixed(0)} MB, its peer by ${(residentMb(pair.member(peerOf(role)).pid) - alone).toFixed(0)} MB`);
    t.ok(grown <= GROWTH_MB_MAX, `within ${String(GROWTH_MB_MAX)} MB`);

    const written = (await flowsWritten()) - before;
    t.ok(written >= load.answered * FLOWS_PER_QUERY, `${String(written)} flows`);
    stalled.goOn();
    for (const [i, { flows, lost }] of followers.entries()) {
      const expected = written + seenBefore[i];
      await until(`follower ${String(i)} at the end`, CATCH_UP_MS, () => (followers[i].flows + followers[i].lost >= expected ? true : null));
      t.equal(followers[i].flows + followers[i].lost, expected, `follower ${String(i)}: ${String(flows)} flows and ${String(lost)} told as lost at the load's end`);
    }
    t.comment(`told as lost: ${readers.map(({ lost }) => String(lost)).join(', ')}; the stalled one: ${String(stalled.lost)}`);
    t.ok(stalled.isLostTold, `it is told that it missed ${String(stalled.lost)}`);
    t.equal(await pair.metric(role, 'peer_connected'), 1, 'the link between the two has not noticed either');
  });
}

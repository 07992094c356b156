import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Flow, GetFlowsRequest, type ObserverClient } from '@tandem/proto';
import t from 'tap';
import { ListedFlows } from './testing/listed-flows.js';
import { Follower, serve } from './testing/served-flows.js';

const RING = 250;
const FOLLOWERS = 9;
const FLOWS = 2_501;
const BATCH = 125;
/** All that was sent to one follower is more than twice as much. */
const GROWTH_BYTES_MAX = 8 * 1024 * 1024;
const LOOKS_MAX = 100;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** About 8 KiB. */
function flowAt(index: number): Flow {
  return Flow.fromPartial({ uuid: `flow-${index}`, nodeName: 'node', time: { seconds: 1_700_000_000n, nanos: index }, Summary: 'x'.repeat(8_000) });
}

/** Counts flows, keeps none. */
class Counter {
  count = 0;
  last = '';
  readonly stream;
  private waiting: { readonly count: number; readonly resolve: () => void } | null = null;

  constructor(client: ObserverClient) {
    this.stream = client.getFlows(GetFlowsRequest.fromPartial({ follow: true, number: 1n }));
    this.stream.on('error', () => undefined);
    this.stream.on('data', ({ responseTypes }: { readonly responseTypes?: { readonly $case: string; readonly value: unknown } }) => {
      if (responseTypes?.$case !== 'flow') return;
      this.count++;
      this.last = (responseTypes.value as Flow).uuid;
      if (this.waiting !== null && this.count >= this.waiting.count) this.waiting.resolve();
    });
  }

  until(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.waiting = { count, resolve };
      if (this.count >= count) resolve();
    });
  }
}

t.test('a follower that reads nothing costs the others nothing and no memory, and is told what it missed', async (t) => {
  const flows = new ListedFlows([flowAt(0)], RING);
  const { client, newClient } = await serve(t, flows);
  const stalled = new Follower(client, { number: 1n });
  const others = Array.from({ length: FOLLOWERS }, () => new Counter(newClient()));
  // Now each has its place.
  await Promise.all([stalled.until(({ length }) => length === 1), ...others.map((follower) => follower.until(1))]);
  stalled.stream.pause();
  collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  for (let sent = 1; sent < FLOWS; sent += BATCH) {
    for (let index = sent; index < sent + BATCH; index++) flows.push(flowAt(index));
    await Promise.all(others.map((follower) => follower.until(sent + BATCH)));
  }
  const expected = `flow-${FLOWS - 1}`;
  for (const { count, last } of others) t.strictSame([count, last], [FLOWS, expected]);
  // What was collected is swept beside this thread: it is gone a little later.
  let grownBytes = Infinity;
  for (let looks = 0; looks < LOOKS_MAX && grownBytes >= GROWTH_BYTES_MAX; looks++) {
    collectGarbage();
    await new Promise((resolve) => { setImmediate(resolve); });
    grownBytes = process.memoryUsage().arrayBuffers - before;
  }
  t.ok(grownBytes < GROWTH_BYTES_MAX, `nothing piles up: ${grownBytes} bytes`);

  stalled.stream.resume();
  await stalled.until((responses) => responses.some(({ responseTypes }) => responseTypes?.$case === 'flow' && responseTypes.value.uuid === expected));
  const lost = stalled.responses.flatMap(({ responseTypes }) => (responseTypes?.$case === 'lostEvents' ? [Number(responseTypes.value.numEventsLost)] : []));
  const got = stalled.responses.length - lost.length;
  t.equal(lost.length, 1, 'one event says it');
  t.equal(lost[0] + got, FLOWS, 'all that it did not get is counted');
  t.ok(got >= RING && got < FLOWS / 2, `${got} came`);
  stalled.cancel();
  for (const { stream } of others) stream.cancel();
});

import t from 'tap';
import { GetFlowsRequest, type GetFlowsResponse } from '@tandem/proto';
import { dnsFlow, responseOf, TEN_O_CLOCK } from '../testing/fake-observer.js';
import { FlowProgress } from './flow-progress.js';

async function given(progress: FlowProgress, flows: readonly (readonly [uuid: string, second: number])[]): Promise<string[]> {
  const responses = flows.map(([uuid, second]): GetFlowsResponse => responseOf({ ...dnsFlow({ uuid }), time: { seconds: BigInt(TEN_O_CLOCK + second), nanos: 0 } }));
  const uuids: string[] = [];
  async function* source(): AsyncGenerator<GetFlowsResponse> {
    for (const response of responses) yield await Promise.resolve(response);
  }
  for await (const { responseTypes } of progress.fresh(source())) if (responseTypes?.$case === 'flow') uuids.push(responseTypes.value.uuid);
  return uuids;
}

t.test('a resumption begins a little before the last flow, and not before the first', async (t) => {
  const progress = new FlowProgress(GetFlowsRequest.fromPartial({ follow: true, number: 20n }), true);
  t.match(progress.request(), { number: 20n, since: undefined }, 'at first it is what was asked');
  t.strictSame(await given(progress, [['a', 0], ['b', 1]]), ['a', 'b']);
  t.match(progress.request(), { follow: true, number: 0n, since: { seconds: BigInt(TEN_O_CLOCK) } });
  t.strictSame(await given(progress, [['a', 0], ['c', 1], ['b', 1], ['d', 60], ['d', 60]]), ['c', 'd'], 'each flow once');
  t.match(progress.request(), { number: 0n, since: { seconds: BigInt(TEN_O_CLOCK + 55) } });
});

t.test('of a number of flows the rest is asked for', async (t) => {
  const progress = new FlowProgress(GetFlowsRequest.fromPartial({ number: 3n }), true);
  progress.request();
  await given(progress, [['a', 0], ['b', 1]]);
  t.match(progress.request(), { follow: false, number: 1n, first: true });
});

t.test('who had nothing yet asks the same again; a mere follower misses nothing since it began', (t) => {
  const last = new FlowProgress(GetFlowsRequest.fromPartial({ number: 5n }), true);
  t.equal(last.request(), last.request());
  const startMs = Date.now();
  const follower = new FlowProgress(GetFlowsRequest.fromPartial({ follow: true }), true);
  follower.request();
  const since = follower.request().since!;
  t.ok(Math.abs(Number(since.seconds) * 1_000 - startMs) < 2_000);
  t.end();
});

t.test('what is remembered is bounded', async (t) => {
  const progress = new FlowProgress(GetFlowsRequest.fromPartial({ follow: true }), true);
  const flows = Array.from({ length: 100_001 }, (_, i) => [String(i), 0] as const);
  t.equal((await given(progress, flows)).length, flows.length);
  t.strictSame(await given(progress, [['0', 0], ['100000', 0]]), ['0'], 'the oldest was forgotten');
  const forgetful = new FlowProgress(GetFlowsRequest.fromPartial({ follow: true }), false);
  t.strictSame(await given(forgetful, [['a', 0], ['a', 0]]), ['a', 'a'], 'and nothing where there is nowhere else to go on');
});

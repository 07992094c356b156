import t from 'tap';
import { Flow, L7FlowType, Verdict } from '@tandem/proto';
import type { FlowLog, ObservedFlow } from '../flows/flow-log.js';
import { FlowSearches, type FlowSearch, type FlowsView } from './page-flows.js';

const ALL: FlowSearch = { last: 100, since: '', pod: '', name: '', verdict: '' };

/** Flows in a list; `stepMs` makes each step back cost time, as a slow machine's would. */
class ListLog implements FlowLog {
  readonly nodeName = 'node-1';
  readonly version = '0.1.0';
  readonly flows: ObservedFlow[] = [];
  stepMs = 0;

  add(number: number, fields: Parameters<typeof Flow.fromPartial>[0] = {}): void {
    const flow = Flow.fromPartial({ uuid: `u${String(number)}`, verdict: Verdict.FORWARDED, ...fields });
    this.flows.push({ flow, bytes: Flow.encode(flow).finish(), timeMs: number, response: null });
  }

  read() {
    let at = this.flows.length;
    return {
      previous: () => {
        for (const untilMs = performance.now() + this.stepMs; performance.now() < untilMs; );
        return at === 0 ? null : this.flows[--at];
      },
      next: () => null,
    };
  }

  members() {
    return [];
  }
}

function uuids(view: FlowsView): string[] {
  return view.flows.map((flow) => (flow as { uuid: string }).uuid);
}

t.test('the newest flows come, the oldest of them first, and it is said that there are more', async (t) => {
  const log = new ListLog();
  const searches = new FlowSearches(log);
  t.strictSame(await searches.search(ALL), { cursor: '', flows: [], more: false }, 'of none there are none');
  for (let i = 0; i < 5; i++) log.add(i);
  t.strictSame(await searches.search({ ...ALL, last: 5 }), { cursor: 'u4', flows: [0, 1, 2, 3, 4].map((i) => ({ uuid: `u${String(i)}`, verdict: 'FORWARDED' })), more: false });
  const few = await searches.search({ ...ALL, last: 2 });
  t.strictSame([uuids(few), few.more, few.cursor], [['u3', 'u4'], true, 'u4']);
});

t.test('what came since the last look comes, with a few flows around it again', async (t) => {
  const log = new ListLog();
  const searches = new FlowSearches(log);
  for (let i = 0; i < 50; i++) log.add(i);
  const { cursor } = await searches.search(ALL);
  for (let i = 50; i < 53; i++) log.add(i);
  const view = await searches.search({ ...ALL, since: cursor });
  t.strictSame(uuids(view).slice(-4), ['u49', 'u50', 'u51', 'u52']);
  t.ok(view.flows.length < 20, `${String(view.flows.length)} flows`);
  t.equal(view.more, false);
  const flood = await searches.search({ ...ALL, since: cursor, last: 2 });
  t.strictSame([uuids(flood), flood.more], [['u51', 'u52'], true], 'more came than were asked for');
  t.equal((await searches.search({ ...ALL, since: 'overwritten' })).flows.length, 53, 'where the last one is gone, all that is there');
});

t.test('filters are parts of pod, address and name, and a verdict', async (t) => {
  const log = new ListLog();
  const dns = (query: string) => ({ l7: { type: L7FlowType.REQUEST, record: { $case: 'dns' as const, value: { query } } } });
  log.add(0, { source: { namespace: 'demo', podName: 'web' }, IP: { source: '10.0.0.1', destination: '10.0.0.53' }, ...dns('www.shop.example.') });
  log.add(1, { destination: { namespace: 'demo', podName: 'batch' }, verdict: Verdict.DROPPED, ...dns('API.partner.example.') });
  log.add(2, { verdict: Verdict.AUDIT });
  const found = async (filter: Partial<FlowSearch>): Promise<string[]> => uuids(await new FlowSearches(log).search({ ...ALL, ...filter }));
  t.strictSame(await found({ pod: 'demo/' }), ['u0', 'u1']);
  t.strictSame(await found({ pod: 'Demo/Web' }), ['u0']);
  t.strictSame(await found({ pod: '10.0.0.53' }), ['u0']);
  t.strictSame(await found({ name: 'api.PARTNER' }), ['u1']);
  log.add(9, { destinationNames: ['www.cnn.example'], verdict: Verdict.FORWARDED });
  t.strictSame(await found({ name: 'CNN.example' }), ['u9'], 'a connection by the name of its end');
  t.strictSame(await found({ verdict: 'AUDIT' }), ['u2']);
  t.strictSame(await found({ verdict: 'DROPPED', name: 'shop' }), []);
});

t.test('a search that finds nothing ends in time, lets others run meanwhile, and says that there may be more', async (t) => {
  const log = new ListLog();
  for (let i = 0; i < 5_000; i++) log.add(i);
  log.stepMs = 0.2;
  let turns = 0;
  let isOver = false;
  const other = (): void => {
    turns++;
    if (!isOver) setImmediate(other);
  };
  setImmediate(other);
  const view = await new FlowSearches(log).search({ ...ALL, name: 'nowhere' });
  isOver = true;
  t.match(view, { cursor: 'u4999', flows: [], more: true });
  t.ok(turns > 0, `other work ran ${String(turns)} times`);
});

t.test('there is a bound on searches at once, and none without flows', async (t) => {
  const log = new ListLog();
  for (let i = 0; i < 2_000; i++) log.add(i);
  log.stepMs = 0.2;
  const searches = new FlowSearches(log);
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => searches.search({ ...ALL, name: 'x' })));
  t.strictSame(outcomes.map(({ status }) => status), ['fulfilled', 'fulfilled', 'fulfilled', 'fulfilled', 'rejected', 'rejected']);
  t.match(await searches.search({ ...ALL, last: 1 }), { flows: [{}] }, 'and after them there is room again');
  await t.rejects(new FlowSearches(null).search(ALL), { code: 'UNAVAILABLE', message: /--enable-hubble/ });
});

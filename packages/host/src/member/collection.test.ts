import t from 'tap';
import type { ConnectionRun, ConnectionSource, LiveConnection } from '@tandem/core';
import { Collection, noConnections } from './collection.js';

/** Passes that end when the test says so. */
class HeldSource implements ConnectionSource {
  readonly waiting: ((live: Iterable<LiveConnection>) => void)[] = [];
  began = 0;

  get isRunning(): boolean {
    return this.waiting.length > 0;
  }

  run(onFinished: (live: Iterable<LiveConnection>) => void): void {
    this.began++;
    this.waiting.push(onFinished);
  }
}

function started(source: ConnectionSource, turns: number): { collection: Collection; runs: ConnectionRun[]; done: Promise<void> } {
  const runs: ConnectionRun[] = [];
  let left = turns;
  let finish: () => void = () => undefined;
  const done = new Promise<void>((resolve) => { finish = resolve; });
  const keepAlive = setInterval(() => undefined, 1000);
  const collection = new Collection({ gcIntervalMs: 2, connectionGcIntervalMs: 1 }, {
    source,
    collect: () => {
      if (--left > 0) return;
      clearInterval(keepAlive);
      finish();
    },
    connectionsSeen: (run) => { runs.push(run); },
  });
  return { collection, runs, done };
}

t.test('without a source every pass ends and has seen nothing', async (t) => {
  const { collection, runs, done } = started(noConnections, 5);
  await done;
  t.ok(runs.length > 1, `${runs.length} passes`);
  t.ok(runs.every(({ live }) => [...live].length === 0));
  t.ok(runs.every(({ startedMs }, i) => i === 0 || startedMs >= runs[i - 1].startedMs));
  t.ok(collection.nextPassAtMs >= runs.at(-1)!.startedMs);
  collection.stop();
});

t.test('a pass that takes long is waited for, and told as of its beginning', async (t) => {
  const source = new HeldSource();
  const { collection, runs, done } = started(source, 5);
  await done;
  t.equal(source.began, 1, 'no second one beside it');
  t.strictSame(runs, [], 'what has not ended is not told');
  collection.stop();
  source.waiting.pop()!([{ endpointUid: 'u', address: '192.0.2.1' }]);
  t.match(runs, [{ live: [{ endpointUid: 'u', address: '192.0.2.1' }] }]);
  t.ok(runs[0].startedMs < collection.nextPassAtMs);
});

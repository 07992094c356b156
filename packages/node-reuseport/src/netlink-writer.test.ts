import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { bootTimeMs, completionStride, Journal, NETLINK, NetlinkWriter, Reactor, Readable, ReadyEvent } from './index.js';
import { enterOwnNamespace } from './testing/namespace.js';
import { batch, Flag, linkInfo, message, newTable, setElements } from './testing/netlink-messages.js';

enterOwnNamespace();

const EEXIST = 17;
const ENOENT = 2;
const where = { table: 'w', set: 's' };
const options = { protocol: NETLINK.netfilter, capacity: 8, bytesMax: 4096 };
const patienceMs = 5000;
const nft = (script: string): string => execFileSync('nft', ['-f', '-'], { input: script, encoding: 'utf8' });

nft('add table inet w; add set inet w s { type ipv4_addr; flags timeout; }');

type Completion = readonly [ticket: number, errno: number, sequence: number];

/** Waits in the kernel until `count` requests are done. */
function collect(writer: NetlinkWriter, count: number): readonly Completion[] {
  const journal = Journal.create({ slots: 1, batch: 1 });
  const reactor = new Reactor(journal);
  reactor.watch(writer.fd, 1, ReadyEvent.IN);
  const into = new Int32Array(completionStride * 3);
  const all: Completion[] = [];
  const startedMs = bootTimeMs();
  while (all.length < count) {
    const found = writer.completions(into);
    for (let i = 0; i < found; i++) all.push([into[i * completionStride], into[i * completionStride + 1], into[i * completionStride + 2]]);
    if (found > 0) continue;
    reactor.step(0, patienceMs);
    if (bootTimeMs() - startedMs > patienceMs) throw new Error('no completion comes');
  }
  reactor.unwatch(writer.fd);
  reactor.close();
  journal.release();
  return all;
}

const hasAddress = (address: string): boolean => {
  try {
    execFileSync('nft', ['get', 'element', 'inet', 'w', 's', `{ ${address} }`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

t.test('what is submitted is done in order, and its ticket comes back', (t) => {
  const writer = new NetlinkWriter(options);
  const into = new Int32Array(completionStride);
  t.equal(writer.completions(into), 0);
  for (const ticket of [5, -1, 2 ** 31 - 1]) t.ok(writer.submit(batch(setElements('add', 1, where, [0x0a000001 + (ticket & 15)])), ticket));
  t.same(collect(writer, 3), [[5, 0, 0], [-1, 0, 0], [2 ** 31 - 1, 0, 0]]);
  t.ok(hasAddress('10.0.0.6'));
  writer.close();
  t.end();
});

t.test('of a batch with several refusals the first is told, and none counts for the next', (t) => {
  const writer = new NetlinkWriter(options);
  const bad = batch(
    newTable(100, 'w'),
    newTable(101, 'w', Flag.EXCL),
    setElements('delete', 102, where, [1]),
    setElements('add', 103, { table: 'absent', set: 's' }, [1]),
  );
  const good = batch(setElements('add', 101, where, [0x0b000001]));
  writer.submit(bad, 1);
  writer.submit(good, 2);
  writer.submit(batch(setElements('delete', 77, where, [0x0c000001])), 3);
  writer.submit(good, 4);
  t.same(collect(writer, 4), [[1, EEXIST, 101], [2, 0, 0], [3, ENOENT, 77], [4, 0, 0]]);
  t.ok(hasAddress('11.0.0.1'));
  writer.close();
  t.end();
});

t.test('no more than the capacity is taken, until completions are collected', (t) => {
  const writer = new NetlinkWriter({ ...options, capacity: 2 });
  const request = batch(setElements('add', 1, where, [9]));
  t.ok(writer.submit(request, 1));
  t.ok(writer.submit(request, 2));
  t.notOk(writer.submit(request, 3));
  t.same(collect(writer, 2), [[1, 0, 0], [2, 0, 0]]);
  t.ok(writer.submit(request, 4));
  t.same(collect(writer, 1), [[4, 0, 0]]);
  writer.close();
  t.end();
});

t.test('completions wake the event loop, too', async (t) => {
  const writer = new NetlinkWriter(options);
  const alive = setInterval(() => undefined, 1000);
  const into = new Int32Array(completionStride * 8);
  let done = 0;
  await new Promise<void>((resolve) => {
    const readable = new Readable(writer.fd, () => {
      done += writer.completions(into);
      if (done < 8) return;
      readable.close();
      resolve();
    });
    for (let i = 0; i < 8; i++) writer.submit(batch(setElements('add', 1, where, [i + 1])), i);
  });
  clearInterval(alive);
  t.equal(done, 8);
  writer.close();
});

t.test('requests and options that make no sense are refused', (t) => {
  const invalid = { code: 'ERR_INVALID_ARG_VALUE' };
  t.throws(() => new NetlinkWriter({ ...options, protocol: 1 }), invalid);
  t.throws(() => new NetlinkWriter({ ...options, capacity: 0 }), invalid);
  t.throws(() => new NetlinkWriter({ ...options, bytesMax: 8 }), invalid);
  t.throws(() => new NetlinkWriter({ ...options, capacity: 65536, bytesMax: 65536 }), /from 20 to 16384/);
  const writer = new NetlinkWriter(options);
  t.throws(() => writer.submit(new Uint8Array(5000), 1), /at most 4096/);
  t.throws(() => writer.submit(new Uint8Array(0), 1), invalid);
  t.throws(() => writer.submit(new Uint8Array(40), 1), invalid);
  t.throws(() => writer.submit(message(18, 0, 1, linkInfo(1)), 1), /asks for an answer/);
  writer.close();
  writer.close();
  t.throws(() => writer.submit(batch(newTable(1, 'late')), 1), { code: 'EBADF' });
  t.equal(writer.completions(new Int32Array(3)), 0);
  t.end();
});

const GONE_MS = 5_000;
const threads = (): readonly string[] =>
  readdirSync('/proc/self/task').flatMap((task) => {
    try {
      return [readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim()];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
/** How many are left; a thread that has been joined stays in the list for a moment. */
function writers(): number {
  const count = (): number => threads().filter((name) => name === 'netlink-writer').length;
  const deadlineMs = performance.now() + GONE_MS;
  while (count() > 0 && performance.now() < deadlineMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  return count();
}
const descriptors = (): number => readdirSync('/proc/self/fd').length;

t.test('closing in the midst of work ends the thread and frees its descriptors', (t) => {
  const before = descriptors();
  for (let round = 0; round < 50; round++) {
    const writer = new NetlinkWriter(options);
    for (let i = 0; i < 8; i++) writer.submit(batch(setElements('add', 1, where, [i + 1])), i);
    writer.close();
  }
  t.equal(writers(), 0);
  t.equal(descriptors(), before);
  t.end();
});

t.test('a worker thread may have one, and its end, whether wished or not, ends the writer', async (t) => {
  const script = fileURLToPath(new URL('testing/writer-worker.js', import.meta.url));
  for (const ending of ['return', 'exit', 'terminate']) {
    const before = descriptors();
    const worker = new Worker(script, { workerData: ending });
    const said: unknown[] = [];
    const ended = new Promise((resolve) => worker.once('exit', resolve));
    worker.on('error', (error) => said.push(error));
    await new Promise<void>((resolve) => worker.once('message', (word) => {
      said.push(word);
      resolve();
    }));
    if (ending === 'terminate') await worker.terminate();
    await ended;
    t.same(said, ['done 1 0'], ending);
    t.equal(writers(), 0, `${ending}: no thread is left`);
    t.equal(descriptors(), before, `${ending}: no descriptor is left`);
  }
});

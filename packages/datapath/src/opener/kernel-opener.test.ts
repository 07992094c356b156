import { COLLECT_GRACE_MS, type LearnedMapping, monoMs, OPENING, type Snapshot } from '@tandem/core';
import { bootTimeMs, Readable } from 'node-reuseport';
import t, { type Test } from 'tap';
import { staysAlive } from '../testing/kernel-test.js';
import { enterOwnNamespace } from '../testing/namespace.js';
import { addSet, inKernel, makeTable, nft, setsOf, settingsOf, snapshotOf } from '../testing/open-sets.js';
import { KernelOpener } from './kernel-opener.js';

enterOwnNamespace();

staysAlive(t);

const ONE = '*.one.';
const TWO = '*.two.';
const TTL_SECONDS = 3600;

/** A data plane's turns: flushes and takes, as soon as there is something to take or to try again. */
class Turns {
  readonly opener: KernelOpener;
  readonly opened: number[] = [];
  private answer = 0;
  private readonly readable: Readable;
  private woken: () => void = () => undefined;

  constructor(t: Test, ...flags: readonly string[]) {
    this.opener = new KernelOpener(settingsOf(...flags));
    this.readable = new Readable(this.opener.fd, () => { this.woken(); });
    t.teardown(() => {
      this.readable.close();
      this.opener.close();
    });
  }

  learned(name: string, address: string, laterMs = 0): number {
    const labels = name.split('.').filter((label) => label !== '');
    const bytes = Uint8Array.from([...labels.flatMap((label) => [label.length, ...Buffer.from(label)]), 0]);
    const words = new Uint32Array(4);
    new Uint8Array(words.buffer).set([0xff, 0xff, ...address.split('.').map(Number)], 10);
    const mapping: LearnedMapping = {
      slot: 1, answer: ++this.answer, endpointId: 1, bytes, nameOffset: 0, nameLength: bytes.length, address: words, ttlSeconds: TTL_SECONDS, lookupMs: monoMs(bootTimeMs() + laterMs), isRenewal: false,
    };
    return this.opener.learned(mapping);
  }

  flush(): void {
    this.opener.flush(monoMs(bootTimeMs()));
  }

  take(): void {
    this.opener.take((_, answer) => this.opened.push(answer));
  }

  /** Until the condition holds. */
  async until(holds: () => boolean): Promise<void> {
    for (;;) {
      this.flush();
      this.take();
      if (holds()) return;
      await new Promise<void>((resolve) => {
        this.woken = resolve;
        const inMs = this.opener.nextDeadlineMs() - bootTimeMs();
        if (inMs < Infinity) setTimeout(resolve, Math.max(0, inMs));
      });
    }
  }
}

function policy(turns: Turns, ...patterns: readonly string[]): { readonly snapshot: Snapshot; readonly sets: readonly string[] } {
  const snapshot = snapshotOf(patterns);
  turns.opener.setPolicy(snapshot);
  return { snapshot, sets: setsOf(snapshot) };
}

t.test('an answer is told open when the kernel has all of its addresses; what is open already makes none wait', async (t) => {
  const turns = new Turns(t);
  const { sets: [set] } = policy(turns, ONE);
  makeTable(set);
  t.equal(turns.learned('a.one.', '192.0.2.1'), OPENING.pending);
  t.equal(turns.learned('a.else.', '192.0.2.2'), OPENING.open, 'no rule speaks of it');
  await turns.until(() => turns.opened.length === 1);
  t.strictSame([turns.opened, [...inKernel(set).keys()]], [[1], ['192.0.2.1']]);
  t.equal(turns.learned('a.one.', '192.0.2.1'), OPENING.open);
  t.equal(turns.opener.failures, 0);
});

t.test('a set that is not there holds up nothing of other sets; when it comes, all that wait for it are open', async (t) => {
  const turns = new Turns(t);
  const { sets: [one, two] } = policy(turns, ONE, TWO);
  makeTable(one);
  for (let i = 0; i < 600; i++) turns.learned('a.two.', `192.0.${2 + (i >> 8)}.${i & 255}`);
  turns.learned('a.one.', '198.51.100.1');
  await turns.until(() => turns.opened.length === 1);
  t.strictSame(turns.opened, [601]);
  addSet(two);
  await turns.until(() => turns.opened.length === 601);
  t.equal(inKernel(two).size, 600);
  t.equal(turns.opener.failures, 0);
});

t.test('a set that does not come is given up after a while, and counted; too many that wait are a failure at once', async (t) => {
  const turns = new Turns(t);
  policy(turns, ONE);
  makeTable();
  for (let i = 0; i < 9000; i++) turns.learned('a.one.', `10.1.${i >> 8}.${i & 255}`);
  await turns.until(() => turns.opener.failures > 0);
  t.ok(turns.opener.failures < 9000, 'those beyond the bound');
  await turns.until(() => turns.opener.failures === 9000);
  t.strictSame(turns.opened, []);
  t.equal(turns.opener.nextDeadlineMs(), Infinity, 'nothing is left to try');
});

t.test('what was under way while all was forgotten is not taken for open: it may be closed by now', async (t) => {
  const turns = new Turns(t);
  const { sets: [set] } = policy(turns, ONE);
  makeTable(set);
  turns.learned('a.one.', '192.0.2.1');
  turns.flush();
  turns.opener.forget(null);
  await turns.until(() => turns.opened.length === 1);
  nft(`flush set inet tandem ${set}`);
  t.equal(turns.learned('a.one.', '192.0.2.1'), OPENING.pending);
  await turns.until(() => turns.opened.length === 2);
  t.strictSame([...inKernel(set).keys()], ['192.0.2.1']);
});

t.test('once a mapping has expired, a collection may have closed it: the answer waits for the kernel again', async (t) => {
  const turns = new Turns(t);
  const { sets: [set] } = policy(turns, ONE);
  makeTable(set);
  turns.learned('a.one.', '192.0.2.1');
  await turns.until(() => turns.opened.length === 1);
  nft(`flush set inet tandem ${set}`);
  t.equal(turns.learned('a.one.', '192.0.2.1', TTL_SECONDS * 1000 + COLLECT_GRACE_MS - 5000), OPENING.open, 'no collection does so soon');
  t.equal(turns.learned('a.one.', '192.0.2.1', TTL_SECONDS * 1000 + COLLECT_GRACE_MS), OPENING.pending);
});

t.test('what one mapping opened is forgotten alone', async (t) => {
  const turns = new Turns(t);
  const { sets: [set] } = policy(turns, ONE);
  makeTable(set);
  turns.learned('a.one.', '192.0.2.1');
  turns.learned('a.one.', '192.0.2.2');
  await turns.until(() => turns.opened.length === 2);
  turns.opener.forget([{ endpointId: 1, name: 'a.one.', address: '192.0.2.1' }]);
  t.equal(turns.learned('a.one.', '192.0.2.1'), OPENING.pending);
  t.equal(turns.learned('a.one.', '192.0.2.2'), OPENING.open);
});

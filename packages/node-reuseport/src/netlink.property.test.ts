import fc from 'fast-check';
import t from 'tap';
import { completionStride, NETLINK, netlinkExchange, NetlinkWriter, Readable } from './index.js';
import { enterOwnNamespace } from './testing/namespace.js';
import { batch, concat, Flag, message, newTable, setElements } from './testing/netlink-messages.js';

enterOwnNamespace();

const questions = 300;
/** The kernel says nothing at all to some malformed batches: an exchange with one ends then, a writer's request after a second. */
const silenceMs = 50;
const sequences = 40;
const invalid = 'ERR_INVALID_ARG_VALUE';
const options = { protocol: NETLINK.netfilter, capacity: 16, bytesMax: 4096 };

/** Messages that may be anything, the last of them spoiled in one byte perhaps. */
const spoiled = fc
  .tuple(
    fc.array(fc.record({ type: fc.nat(0xffff), flags: fc.constantFrom(0, Flag.ACK, Flag.DUMP), body: fc.uint8Array({ maxLength: 64 }) }), { maxLength: 6 }),
    fc.option(fc.record({ at: fc.nat(), value: fc.nat(255) })),
    fc.uint8Array({ maxLength: 20 }),
  )
  .map(([messages, change, tail]) => {
    const bytes = concat(...messages.map(({ type, flags, body }, i) => message(type, flags, i + 1, body)), tail);
    if (change !== null && bytes.length > 0) bytes[change.at % bytes.length] = change.value;
    return bytes;
  });

t.test('whatever bytes are asked are refused, here or by the kernel, and the next question is answered', async (t) => {
  await fc.assert(
    fc.asyncProperty(spoiled, fc.constantFrom(NETLINK.route, NETLINK.netfilter), async (request, protocol) => {
      const ask = netlinkExchange({ protocol, request, deadlineMs: silenceMs, bytesMax: 1 << 20 });
      const outcome = await ask.then(() => 'answered', ({ code }: { code?: string }) => code);
      return outcome === 'answered' || outcome === invalid;
    }),
    { numRuns: questions },
  );
  t.match(await netlinkExchange({ protocol: NETLINK.netfilter, request: batch(newTable(1, 'after')), deadlineMs: 5000, bytesMax: 0 }), { errno: 0 });
});

type Step = 'good' | 'absent' | 'twice' | 'spoiled';
const errnoOf: Readonly<Record<Step, number | null>> = { good: 0, absent: 2, twice: 17, spoiled: null };
const sequence = 1000;
const EXCL = Flag.EXCL;

t.test('each request has its own outcome, in order, whatever came before it', async (t) => {
  const outcomes = new Set<number>();
  const where = { table: 'p', set: 'none' };
  const requests: Readonly<Record<Exclude<Step, 'spoiled'>, Uint8Array>> = {
    good: batch(newTable(1, 'p'), newTable(2, 'q')),
    absent: batch(newTable(3, 'p'), setElements('add', sequence, where, [1]), setElements('add', 4, where, [2])),
    twice: batch(newTable(sequence, 'p', EXCL), newTable(5, 'q', EXCL), setElements('add', 6, where, [3])),
  };
  const alive = setInterval(() => undefined, 1000);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.constantFrom<Step>('good', 'absent', 'twice', 'good', 'absent', 'twice', 'spoiled'), spoiled), { minLength: 1, maxLength: 8 }), async (steps) => {
      const writer = new NetlinkWriter(options);
      writer.submit(requests.good, -1);
      const expected: (number | null)[] = [0];
      for (const [step, bytes] of steps.slice(0, options.capacity - 1)) {
        try {
          writer.submit(step === 'spoiled' ? bytes : requests[step], expected.length);
          expected.push(errnoOf[step]);
        } catch (error) {
          if (step !== 'spoiled' || (error as { code?: string }).code !== invalid) throw error;
        }
      }
      const into = new Int32Array(completionStride);
      const seen: number[][] = [];
      await new Promise<void>((resolve) => {
        const readable = new Readable(writer.fd, () => {
          while (writer.completions(into) === 1) seen.push([...into]);
          if (seen.length < expected.length) return;
          readable.close();
          resolve();
        });
      });
      writer.close();
      for (const each of expected) if (each !== null) outcomes.add(each);
      return seen.every(
        ([ticket, errno, refused], i) =>
          ticket === (i === 0 ? -1 : i) && (expected[i] === null || (errno === expected[i] && refused === (errno === 0 ? 0 : sequence))),
      );
    }),
    { numRuns: sequences },
  );
  clearInterval(alive);
  t.same([...outcomes].sort((a, b) => a - b), [0, 2, 17], 'all kinds came');
});

import t from 'tap';
import { SpacedLog } from './spaced-log.js';
import { RecordingLog } from './testing/members.js';

const TRY_EVERY_MS = 1000;
const HOUR_MS = 3_600_000;

t.test('what happens again and again is said at once, and then at growing distance, with how often', (t) => {
  const log = new RecordingLog();
  let nowMs = 0;
  const spaced = new SpacedLog(log, () => nowMs);
  const saidAtMs: number[] = [];
  for (; nowMs < HOUR_MS; nowMs += TRY_EVERY_MS) {
    const before = log.lines.length;
    spaced.say('warn', 'not reached', 'nobody there');
    if (log.lines.length > before) saidAtMs.push(nowMs);
  }
  t.strictSame(saidAtMs.slice(0, 4), [0, 5000, 15_000, 35_000]);
  t.ok(saidAtMs.length < 15, `${saidAtMs.length} lines in an hour`);
  t.match(log.lines.slice(0, 2), [/^warn not reached .*"nobody there","times":1/, /"times":5/]);
  t.end();
});

t.test('another reason is said at once, and so is the first time after it was over, or long quiet', (t) => {
  const log = new RecordingLog();
  let nowMs = 0;
  const spaced = new SpacedLog(log, () => nowMs);
  const count = (reason: string): number => {
    const before = log.lines.length;
    spaced.say('error', 'refused', reason);
    return log.lines.length - before;
  };
  t.equal(count('a'), 1);
  t.equal(count('a'), 0);
  t.equal(count('b'), 1);
  spaced.over('refused');
  t.equal(count('a'), 1);
  nowMs += HOUR_MS;
  t.equal(count('a'), 1);
  nowMs += 1;
  t.equal(count('a'), 0);
  t.match(log.lines.at(-1), /"times":1/);
  t.end();
});

t.test('reasons without end take no memory without end', (t) => {
  const log = new RecordingLog();
  const spaced = new SpacedLog(log, () => 0);
  for (let i = 0; i < 100; i++) spaced.say('warn', 'refused', `reason ${i}`);
  t.equal(log.lines.length, 100);
  spaced.say('warn', 'refused', 'reason 99');
  t.equal(log.lines.length, 100, 'the latest is remembered');
  spaced.say('warn', 'refused', 'reason 0');
  t.equal(log.lines.length, 101, 'the first is not');
  t.end();
});

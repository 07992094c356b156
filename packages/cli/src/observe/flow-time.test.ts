import t from 'tap';
import { parseTimeMs, protobufTime, TIME_FORMATS, timeText, timestampOf } from './flow-time.js';

const at = (nanos: number): { seconds: bigint; nanos: number } => ({ seconds: BigInt(Date.parse('2026-11-05T09:08:07Z') / 1_000), nanos });

t.test('each format of Hubble\'s client is written as it writes it', (t) => {
  const texts = {
    StampMilli: 'Nov  5 09:08:07.120', YearMonthDay: '2026-11-05', YearMonthDayHour: '2026-11-05T09Z', YearMonthDayHourMinute: '2026-11-05T09:08Z', RFC3339: '2026-11-05T09:08:07Z',
    RFC3339Milli: '2026-11-05T09:08:07.12Z', RFC3339Micro: '2026-11-05T09:08:07.1203Z', RFC3339Nano: '2026-11-05T09:08:07.1203004Z', RFC1123Z: 'Thu, 05 Nov 2026 09:08:07 +0000',
  };
  for (const format of TIME_FORMATS) t.equal(timeText(at(120_300_400), format), texts[format], format);
  t.equal(timeText(at(0), 'RFC3339Nano'), '2026-11-05T09:08:07Z');
  t.equal(timeText(at(999_999_999), 'StampMilli'), 'Nov  5 09:08:07.999', 'cut, not rounded');
  for (const none of [undefined, { seconds: -1n, nanos: 0 }, { seconds: 1n << 60n, nanos: 0 }]) t.equal(timeText(none, 'RFC3339'), 'N/A');
  t.end();
});

t.test('in JSON a time has 0, 3, 6 or 9 digits behind the point', (t) => {
  const cases: readonly [number, string][] = [[0, 'Z'], [120_000_000, '.120Z'], [120_300_000, '.120300Z'], [120_300_400, '.120300400Z'], [1, '.000000001Z']];
  for (const [nanos, end] of cases) t.equal(protobufTime(at(nanos)), `2026-11-05T09:08:07${end}`);
  t.end();
});

t.test('what is written in a format is read back, and a duration is one before now', (t) => {
  const nowMs = Date.parse('2026-11-05T12:00:00Z');
  const cases: readonly [string, string | null][] = [
    ['Nov  5 09:08:07.120', '2026-11-05T09:08:07.120Z'], ['2026-11-05', '2026-11-05T00:00:00Z'], ['2026-11-05T09Z', '2026-11-05T09:00:00Z'], ['2026-11-05T09:08+02:00', '2026-11-05T07:08:00Z'],
    ['2026-11-05T09:08:07Z', '2026-11-05T09:08:07Z'], ['2026-11-05T09:08:07.1203004Z', '2026-11-05T09:08:07.120Z'], ['Thu, 05 Nov 2026 09:08:07 +0000', '2026-11-05T09:08:07Z'],
    ['90s', '2026-11-05T11:58:30Z'], ['1h30m', '2026-11-05T10:30:00Z'], ['2d', '2026-11-03T12:00:00Z'], ['0', '2026-11-05T12:00:00Z'],
    ['', null], ['now', null], ['-3s', null], ['2026-11-05T25:00:00Z', null], ['2026-13-01', null], ['2026-11-05T09:08:07', null], ['5', null],
  ];
  for (const [text, expected] of cases) t.equal(parseTimeMs(text, nowMs), expected === null ? null : Date.parse(expected), text);
  t.strictSame(timestampOf(1_500.25), { seconds: 1n, nanos: 500_250_000 });
  t.end();
});

/** Times of flows as text, in the formats that Hubble's client names, and the texts that stand for a time on the command line. All in UTC. */
import { parseDurationMs } from '@tandem/core';
import type { Timestamp } from '@tandem/proto';

export const TIME_FORMATS = [
  'StampMilli', 'YearMonthDay', 'YearMonthDayHour', 'YearMonthDayHourMinute', 'RFC3339', 'RFC3339Milli', 'RFC3339Micro', 'RFC3339Nano', 'RFC1123Z',
] as const;
export type TimeFormat = (typeof TIME_FORMATS)[number];

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MS_PER_SECOND = 1_000;
const NS_PER_MS = 1_000_000;
const NANO_DIGITS = 9;
const DAY_MS = 24 * 3_600 * MS_PER_SECOND;
/** What a `Date` can hold. */
const SECONDS_MAX = 8_640_000_000_000n;

/** `N/A` for none, and for one outside of what the calendar has. */
export function timeText(time: Timestamp | undefined, format: TimeFormat): string {
  const date = dateOf(time);
  if (time === undefined || date === null) return 'N/A';
  const day = date.toISOString().slice(0, 10);
  const clock = date.toISOString().slice(11, 19);
  switch (format) {
    case 'StampMilli':
      return `${MONTHS[date.getUTCMonth()]} ${String(date.getUTCDate()).padStart(2)} ${date.toISOString().slice(11, 23)}`;
    case 'YearMonthDay':
      return day;
    case 'YearMonthDayHour':
      return `${day}T${clock.slice(0, 2)}Z`;
    case 'YearMonthDayHourMinute':
      return `${day}T${clock.slice(0, 5)}Z`;
    case 'RFC3339':
      return `${day}T${clock}Z`;
    case 'RFC3339Milli':
      return `${day}T${clock}${fraction(time.nanos, 3)}Z`;
    case 'RFC3339Micro':
      return `${day}T${clock}${fraction(time.nanos, 6)}Z`;
    case 'RFC3339Nano':
      return `${day}T${clock}${fraction(time.nanos, NANO_DIGITS)}Z`;
    case 'RFC1123Z':
      return `${DAYS[date.getUTCDay()]}, ${String(date.getUTCDate()).padStart(2, '0')} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()} ${clock} +0000`;
  }
}

/** As protobuf's JSON has it: no fraction, or one of 3, 6 or 9 digits. */
export function protobufTime(time: Timestamp): string | null {
  const date = dateOf(time);
  if (date === null) return null;
  const digits = String(time.nanos).padStart(NANO_DIGITS, '0');
  const kept = time.nanos === 0 ? '' : `.${digits.endsWith('000000') ? digits.slice(0, 3) : digits.endsWith('000') ? digits.slice(0, 6) : digits}`;
  return `${date.toISOString().slice(0, 19)}${kept}Z`;
}

/** A duration before now (`3s`, `1h43m`, `2d`), or a time in one of the formats; milliseconds of the wall clock. Null: neither. */
export function parseTimeMs(text: string, nowMs: number): number | null {
  const agoMs = parseDurationMs(text) ?? parseDaysMs(text);
  if (agoMs !== null) return nowMs - agoMs;
  if (/^[A-Z][a-z]{2} [ 0-9][0-9] \d{2}:\d{2}:\d{2}\.\d{3}$/.test(text)) return calendar(`${text.slice(0, 6)} ${new Date(nowMs).getUTCFullYear()} ${text.slice(7)} UTC`);
  if (/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}$/.test(text)) return calendar(text);
  const zoned = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?)?(Z|[+-]\d{2}:\d{2}))?$/.exec(text);
  if (zoned === null) return null;
  const [, day, hour = '00', minute = '00', second = '00', zone = 'Z'] = zoned;
  return calendar(`${day}T${hour}:${minute}:${second}${zone}`);
}

export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / MS_PER_SECOND);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * MS_PER_SECOND) * NS_PER_MS) };
}

export function msOf(time: Timestamp): number {
  return Number(time.seconds) * MS_PER_SECOND + time.nanos / NS_PER_MS;
}

function dateOf(time: Timestamp | undefined): Date | null {
  if (time === undefined || time.seconds > SECONDS_MAX || time.seconds < 0n) return null;
  // Whole milliseconds before they are added: near a second's end the sum would be rounded into the next.
  return new Date(Number(time.seconds) * MS_PER_SECOND + Math.floor(time.nanos / NS_PER_MS));
}

/** Without zeros at the end, and without the point where nothing is left. */
function fraction(nanos: number, digits: number): string {
  const text = String(nanos).padStart(NANO_DIGITS, '0').slice(0, digits).replace(/0+$/, '');
  return text === '' ? '' : `.${text}`;
}

function parseDaysMs(text: string): number | null {
  const days = /^([0-9]{1,5})d$/.exec(text);
  return days === null ? null : Number(days[1]) * DAY_MS;
}

function calendar(text: string): number | null {
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

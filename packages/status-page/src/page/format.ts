/** Numbers and times for people: short, with their unit, and never wider than a table's column. */
const SECONDS_PER_DAY = 86_400;
const SECONDS_PER_HOUR = 3_600;
const SECONDS_PER_MINUTE = 60;

/** 0, 0.4, 12, 1,234, 12.3k. */
export function countText(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)}G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  if (value > 0 && value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  return Math.round(value).toLocaleString('en-US');
}

/** Of a rate: `–` where it is not known. */
export function rateText(perSecond: number | null): string {
  return perSecond === null ? '–' : countText(perSecond);
}

/** 0.42 ms, 3.1 ms, 42 ms, 1.25 s. */
export function millisecondsText(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return '–';
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms.toFixed(ms < 1 ? 2 : ms < 10 ? 1 : 0)} ms`;
}

/** The two largest units: `3d 4h`, `12m 3s`, `0s`. */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / SECONDS_PER_DAY), 'd'], [Math.floor(whole / SECONDS_PER_HOUR) % 24, 'h'],
    [Math.floor(whole / SECONDS_PER_MINUTE) % 60, 'm'], [whole % SECONDS_PER_MINUTE, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return first === -1 ? '0s' : parts.slice(first, first + 2).map(([count, unit]) => `${count}${unit}`).join(' ');
}

/** 4.2 s below a minute, else as `durationText`. */
export function spanText(ms: number): string {
  return ms < SECONDS_PER_MINUTE * 1000 ? `${(ms / 1000).toFixed(1)} s` : durationText(ms / 1000);
}

/** Local time of day, 24 hours, such as `07:55:46.702`. */
export function clockText(ms: number, withMilliseconds = false): string {
  const time = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const text = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  return withMilliseconds ? `${text}.${String(time.getMilliseconds()).padStart(3, '0')}` : text;
}

/** What no reader can see, or what turns the direction of writing, is shown as `\u{…}`: a name must not look like another. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** `3725` → `1h2m`: the two largest units that are not zero in front. */
export function durationText(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 86_400), 'd'], [Math.floor(whole / 3_600) % 24, 'h'], [Math.floor(whole / 60) % 60, 'm'], [whole % 60, 's']] as const;
  const first = parts.findIndex(([count]) => count > 0);
  return first === -1 ? '0s' : parts.slice(first, first + 2).map(([count, unit]) => `${count}${unit}`).join('');
}

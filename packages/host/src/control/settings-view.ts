/** The settings that a daemon runs with, by their names, in the texts that a flag would take: what `tandem bugtool` keeps. Files are named, never read. */
import { formatSocketAddress, type Role, type SettingRow, SETTINGS, type Settings, type SocketAddress } from '@tandem/core';

export type SettingValue = string | number | boolean | null | readonly string[];

/** Those of the daemon's role, in the order of the reference page. */
export function settingsView(settings: Settings, role: Role): Readonly<Record<string, SettingValue>> {
  const rows = SETTINGS.filter(({ roles }) => roles === undefined || roles.includes(role));
  return Object.fromEntries(rows.flatMap((row) => (row.field === undefined ? [] : [[row.name, valueOf(row, settings[row.field])]])));
}

function valueOf({ kind }: SettingRow, value: Settings[keyof Settings]): SettingValue {
  if (Array.isArray(value)) return (value as readonly (string | SocketAddress)[]).map(textOf);
  if (typeof value === 'number' && kind === 'duration') return `${value}ms`;
  if (typeof value === 'string' && kind === 'address or socket') return `unix:${value}`;
  return typeof value === 'object' && value !== null ? textOf(value as SocketAddress) : value;
}

function textOf(value: string | SocketAddress): string {
  return typeof value === 'string' ? value : formatSocketAddress(value);
}

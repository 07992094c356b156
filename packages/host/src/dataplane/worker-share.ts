/**
 * What one of a member's workers gets of what the settings give the member: memory and connections are divided, so that more workers
 * need not much more of either. The kernel spreads clients over workers by a hash, so a worker may have no room where another has.
 *
 * Not divided: `--upstream-ports`. Each worker's questions need as many ports to hide among.
 */
import type { Settings } from '@tandem/core';

/** A batch of datagrams has room. */
const SLOTS_MIN = 64;
/** As the setting itself. */
const FLOWS_MIN = 1023;

export function shareOf(settings: Settings): Settings {
  const { workers } = settings;
  if (workers === 1) return settings;
  const part = (whole: number, least = 1): number => Math.max(least, Math.ceil(whole / workers));
  return {
    ...settings,
    slots: part(settings.slots, SLOTS_MIN),
    flowCapacity: part(settings.flowCapacity, FLOWS_MIN),
    tcpConnections: part(settings.tcpConnections),
    tcpConnectionsPerClient: part(settings.tcpConnectionsPerClient),
    concurrencyLimit: settings.concurrencyLimit === 0 ? 0 : part(settings.concurrencyLimit),
  };
}

/** Of all workers together. */
export function slotsOf(settings: Settings): number {
  return settings.workers * shareOf(settings).slots;
}

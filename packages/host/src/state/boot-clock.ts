/** This kernel's clocks. */
import { readFileSync } from 'node:fs';
import { bootTimeMs } from 'node-reuseport';
import type { BootClock } from './cache-load.js';

export function bootClock(): BootClock {
  return { bootId: readBootId(), now: () => ({ wallMs: Date.now(), monoMs: bootTimeMs() }) };
}

/** Random with each boot; '' where the kernel does not say: then every file counts as of another boot. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}

/**
 * Addresses of a test process's own: all of 127.0.0.0/8 is loopback, so each process gets one of it, and ports need no
 * search. Two tests can thus never join one SO_REUSEPORT group by accident.
 */
const FIRST_PORT = 20_000;

export const ownAddress = `127.${String(64 + ((process.pid >> 16) & 63))}.${String((process.pid >> 8) & 255)}.${String(process.pid & 255)}`;

let nextPort = FIRST_PORT;

export function ownPort(): number {
  return nextPort++;
}

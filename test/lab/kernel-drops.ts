/** What the kernel threw away because a socket's receive buffer was full; the lab has a namespace of its own. */
import { readFileSync } from 'node:fs';

/** Datagrams dropped so far at the UDP sockets that are bound to an IPv4 address now. @throws Error if there is none. */
export function droppedAt({ address, port }: { readonly address: string; readonly port: number }): number {
  // The kernel prints the address as a 32-bit number in the machine's order: little-endian on all that we run on.
  const hex = [...address.split('.').reverse(), String(port >> 8), String(port & 0xff)]
    .map((byte) => Number(byte).toString(16).padStart(2, '0')).join('').toUpperCase();
  const local = `${hex.slice(0, 8)}:${hex.slice(8)}`;
  const rows = readFileSync('/proc/net/udp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/)).filter((cells) => cells[1] === local);
  if (rows.length === 0) throw new Error(`no UDP socket is bound to ${address}:${String(port)}`);
  return rows.reduce((sum, cells) => sum + Number(cells.at(-1)), 0);
}

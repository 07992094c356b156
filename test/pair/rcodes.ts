/** Which response codes clients get that ask from `clients` ports each. */
import { UdpClient } from '../harness/clients.js';
import type { Pair } from '../harness/pair.js';
import { buildQuery, readMessage, TYPE } from '../harness/wire.js';

export async function rcodes(pair: Pair, from: string, name: string, clients: number): Promise<Set<number>> {
  const seen = await Promise.all(Array.from({ length: clients }, async () => {
    const client = await UdpClient.open(from, pair.server);
    try {
      return readMessage(await client.ask(buildQuery({ name, type: TYPE.A }))).rcode;
    } finally {
      client.close();
    }
  }));
  return new Set(seen);
}

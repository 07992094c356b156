/** The FQDN cache of a member as its HTTP API shows it. */
import type { Pair, Role } from '#harness/pair.js';

interface Row {
  readonly fqdn: string;
  readonly ips: readonly string[];
  readonly 'endpoint-id': number;
}

/** `endpoint name address`, one for each mapping, sorted; without the times, which load renews all the time. */
export async function mappingsOf(pair: Pair, role: Role): Promise<string[]> {
  const { status, body } = await pair.http(role, '/api/v1/fqdn/cache');
  if (status !== 200) throw new Error(`${role}'s cache: HTTP ${String(status)}`);
  return (JSON.parse(body) as Row[]).flatMap((row) => row.ips.map((ip) => `${String(row['endpoint-id'])} ${row.fqdn} ${ip}`)).sort();
}

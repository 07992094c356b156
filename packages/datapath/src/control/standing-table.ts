/**
 * What stands in the main table, by name: a leader that writes everything anew takes all of it away but the sets that DNS fills.
 * Does not know what should stand there.
 */
import { TABLE } from '../names.js';
import { readNft } from '../nft.js';
import type { StandingTable } from '../program/index.js';

const KINDS = ['chain', 'map', 'set', 'limit'] as const;

/** null: there is no such table, or nft does not say. */
export async function standingTable(): Promise<StandingTable | null> {
  try {
    // Without elements, of which there may be many.
    const { nftables } = JSON.parse(await readNft(['-j', '-t', 'list', 'table', TABLE.family, TABLE.name])) as { nftables: readonly Readonly<Record<string, { readonly name: string } | undefined>>[] };
    const [chains, maps, sets, limits] = KINDS.map((kind) => nftables.flatMap((one) => one[kind]?.name ?? []));
    return { chains, maps, sets, limits };
  } catch {
    return null;
  }
}

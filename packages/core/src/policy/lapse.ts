/**
 * A snapshot whose source has been away for too long (`--stale-source-limit`): pods of other nodes are nobody's any more, for their
 * addresses may have other owners by now, whom this node cannot see. Local pods are attested, and stay what they are.
 *
 * Invariant: it only ever takes away. Their addresses are not left to prefixes and the world, which rules may allow, but are those of
 * unmanaged pods, whom no rule with labels selects. Doing it twice changes nothing.
 */
import { byText } from './sort.js';
import { FIRST_POD_IDENTITY, type IdentityRecord, RESERVED_IDENTITY, type Snapshot } from './snapshot.js';
import { sha256OfTexts, snapshotHash, type Sha256 } from './snapshot-hash.js';

/** How flows show the addresses, besides `reserved:unmanaged`. */
export const STALE_SOURCE_LABEL = 'tandem:stale-source=';

/** The same object where no pod of another node is in it. */
export function withoutRemotePods(snapshot: Snapshot, sha256: Sha256 = sha256OfTexts): Snapshot {
  const local = new Set(snapshot.endpoints.flatMap(({ addresses }) => addresses));
  const lapsed = new Set<string>();
  const identities = snapshot.identities.map((record): IdentityRecord => {
    if (record.identity < FIRST_POD_IDENTITY) return record;
    const kept = record.addresses.filter((address) => local.has(address));
    for (const address of record.addresses) if (!local.has(address)) lapsed.add(address);
    return kept.length === record.addresses.length ? record : { ...record, addresses: kept };
  });
  for (const { address } of snapshot.contested ?? []) lapsed.delete(address);
  if (lapsed.size === 0) return snapshot;
  const before = identities.find(({ identity }) => identity === RESERVED_IDENTITY.unmanaged);
  const unmanaged: IdentityRecord = {
    identity: RESERVED_IDENTITY.unmanaged,
    labels: ['reserved:unmanaged=', STALE_SOURCE_LABEL],
    addresses: [...new Set([...(before?.addresses ?? []), ...lapsed])].sort(byText),
  };
  const next = { ...snapshot, identities: [...identities.filter((one) => one !== before), unmanaged].sort((a, b) => a.identity - b.identity) };
  return { ...next, hash: snapshotHash(next, { sha256, texts: new WeakMap() }) };
}

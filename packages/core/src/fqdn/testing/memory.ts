/** How large the cache and the change log are in memory, in two shapes. */
import { monoMs } from '../../base/seams.js';
import { Replica } from '../../pair/replica.js';
import { FqdnCache, type Mapping } from '../cache.js';

const ENDPOINTS = 500;
const PER_ENDPOINT = 200;
const MAPPINGS = ENDPOINTS * PER_ENDPOINT;
/** Names that pods have in common: every third has one address, two, three. */
const NAMES = 20_000;
const TTL_SECONDS = 300;
const LATER_MS = 3_600_000;

export interface Shape {
  readonly what: string;
  readonly mappingAt: (i: number) => Pick<Mapping, 'name' | 'address'>;
}

export const SHAPES: readonly Shape[] = [
  {
    what: `${NAMES} names with one to three addresses`,
    mappingAt: (i) => {
      const pair = Math.floor(i / 6);
      const name = (3 * pair + [0, 1, 1, 2, 2, 2][i % 6]) % NAMES;
      return { name: nameOf(name), address: addressOf(3 * name + [0, 0, 1, 0, 1, 2][i % 6]) };
    },
  },
  { what: 'as many names and addresses as mappings', mappingAt: (i) => ({ name: nameOf(i), address: addressOf(i) }) },
];

/** Bytes per mapping: all learned here and in the log, and when all have expired. `bytesUsed` collects garbage first. */
export function measure({ what, mappingAt }: Shape, bytesUsed: () => number): { readonly what: string; readonly learnedBytes: number; readonly zombieBytes: number } {
  const before = bytesUsed();
  const cache = new FqdnCache({ maxAddressesPerName: 1000, matcher: (pattern) => (name) => name === pattern });
  const replica = new Replica(cache, 'member');
  for (let i = 0; i < MAPPINGS; i++) {
    const lookupMs = monoMs(1_000_000.25 + i);
    const endpointUid = `6f1d7c1e-0a52-4a1e-9b55-${String(Math.floor(i / PER_ENDPOINT)).padStart(12, '0')}`;
    replica.merge([{ endpointUid, ...mappingAt(i), lookupMs, ttlSeconds: TTL_SECONDS, expiryMs: monoMs(lookupMs + TTL_SECONDS * 1000) }], null);
  }
  if (cache.size !== MAPPINGS) throw new Error(`${cache.size} mappings instead of ${MAPPINGS}`);
  const learned = bytesUsed() - before;
  cache.collect(monoMs(1_000_000 + LATER_MS));
  const expired = bytesUsed() - before;
  if (cache.size !== 0 || replica.log.revision < MAPPINGS) throw new Error('not all have expired');
  return { what, learnedBytes: learned / MAPPINGS, zombieBytes: expired / MAPPINGS };
}

/** In one piece, as names come from the wire. */
function nameOf(i: number): string {
  return flat(`svc-${i}.prod.example.com.`);
}

function addressOf(i: number): string {
  return flat(`10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`);
}

function flat(text: string): string {
  return JSON.parse(JSON.stringify(text)) as string;
}

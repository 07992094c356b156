/** The upstreams that members are told of, and the source ports they have for each. */
import type { UpstreamServer } from '@tandem/core';

export const UPSTREAM_PORT = 53;
const PORTS_PER_UPSTREAM = 64;

const ADDRESSES = [[192, 0, 2, 1], [192, 0, 2, 2]];

export const UPSTREAMS: readonly UpstreamServer[] = ADDRESSES.map((last) => ({ address: mapped(last), port: UPSTREAM_PORT }));

/** Four words per upstream. */
export const UPSTREAM_WORDS = new Uint32Array(Uint8Array.from(UPSTREAMS.flatMap(({ address }) => [...address])).buffer);

/** Somebody whom nobody asked. */
export const ALIEN_WORDS = new Uint32Array(Uint8Array.from(mapped([198, 51, 100, 9])).buffer);

export const PORTS = UPSTREAMS.map((_, i) => Array.from({ length: PORTS_PER_UPSTREAM }, (__, port) => i * PORTS_PER_UPSTREAM + port));

/** Index of the upstream with the address at `at`. */
export function serverOf(words: Uint32Array, at: number): number {
  return UPSTREAMS.findIndex((_, i) => words[at + 3] === UPSTREAM_WORDS[i * 4 + 3]);
}

function mapped(v4: readonly number[]): Uint8Array {
  return Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...v4]);
}

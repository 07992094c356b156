/** One pair with its upstream for the tests of a file; both end with the test. */
import type { Test } from 'tap';
import { ownAddress, ownPort } from '../harness/address.js';
import { baseManifests } from '../harness/manifests.js';
import { Pair } from '../harness/pair.js';
import type { PairOptions } from '../harness/pair.js';
import { Upstream } from '../harness/upstream.js';
import type { Zone } from '../harness/upstream.js';

export interface Bench {
  readonly pair: Pair;
  readonly upstream: Upstream;
}

export async function startBench(t: Test, zone: Zone, options: Partial<PairOptions> = {}): Promise<Bench> {
  const upstream = await Upstream.start(ownAddress, ownPort(), zone);
  t.teardown(() => {
    upstream.close();
  });
  const pair = await Pair.start({ upstreams: [upstream], manifests: baseManifests(upstream.address), ...options });
  t.teardown(async () => {
    if (!t.passing()) t.comment(pair.output());
    const exits = await pair.stop();
    for (const [role, exit] of exits) {
      if (exit.code !== 0) throw new Error(`${role} ended with ${JSON.stringify(exit)}`);
    }
  });
  return { pair, upstream };
}

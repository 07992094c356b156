/**
 * `table inet tandem-guard`: keeps DNS of enforced pods closed where `table inet tandem` is gone or empty, be it by accident. While that one
 * is whole, no packet of these gets here but with the mark.
 */
import { GUARD_TABLE } from '../names.js';
import { allDnsMatches, anyDnsRanges, dnsRanges } from './dns-chains.js';
import { FAMILIES, WORDS } from './family.js';
import { dnsRuleSet, localSets, placeMaps, strangersFrom, podCidrSets, veths, type NodePods } from './node.js';
import { ChainStore, type MapSpec, type SetSpec, type TableSpec } from './program.js';
import { hex } from './rule-chains.js';

/** Before DNAT: behind it, a query to a Service has its backend's port. */
const BEHIND_REDIRECT = 'prerouting priority mangle + 1';

export function guardTable(pods: NodePods): TableSpec {
  const { snapshot, marks, divert } = pods.input;
  const store = new ChainStore();
  const drops = (ranges: Parameters<typeof allDnsMatches>[0]): string[] => allDnsMatches(ranges, pods.services, 'dport').map((match) => `${match} drop`);
  const maps = new Map<string, MapSpec>(
    placeMaps('dns', pods, 'from', (place) => {
      const row = dnsRuleSet(pods, place);
      return row === null ? 'accept' : `goto ${store.add('dns', drops(dnsRanges(snapshot.ruleSets[row])))}`;
    }),
  );
  const sets = new Map<string, SetSpec>([...localSets(pods), ...podCidrSets(pods), ['veths', veths(pods)]]);
  const anyDns = store.fix('stranger-dns', drops(anyDnsRanges(snapshot)));
  const guard = store.fix('unmarked', [
    ...(divert === null ? [] : [`iif ${divert.outer} meta mark & ${hex(marks.stranger)} == ${hex(marks.stranger)} goto ${anyDns}`]),
    ...FAMILIES.map((family) => `iif . ${WORDS[family].header} saddr vmap @dns${family}`),
    ...strangersFrom(pods, anyDns),
  ]);
  store.hook('guard', BEHIND_REDIRECT, ['iif 1 accept', `meta mark & ${hex(marks.redirect)} == ${hex(marks.redirect)} accept`, `goto ${guard}`]);
  return { ...GUARD_TABLE, limits: new Map(), sets, maps, chains: store.chains };
}

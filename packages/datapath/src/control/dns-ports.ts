/** The ports of redirected DNS, for the routing rules that bring it to the proxy. */
import type { PortRange, Snapshot } from '@tandem/core';
import { anyDnsRanges, DnsServices } from '../program/dns-chains.js';

/**
 * Rising, none within another, as `first` and `last`; protocols are not told apart: a rule more does no harm. `hasAnswers`: those that
 * answers come from, too, for questions that left with a pod's address.
 */
export function dnsPorts(snapshot: Snapshot, hasAnswers: boolean): readonly Pick<PortRange, 'first' | 'last'>[] {
  const ranges = anyDnsRanges(snapshot);
  const services = new DnsServices(snapshot);
  const single = [...services.ports(ranges), ...(hasAnswers ? services.backendPorts(ranges) : [])];
  const all = [...ranges, ...single.map((port) => ({ first: port, last: port }))];
  const merged: { first: number; last: number }[] = [];
  for (const { first, last } of all.sort((a, b) => a.first - b.first || b.last - a.last)) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last);
    else merged.push({ first, last });
  }
  return merged;
}

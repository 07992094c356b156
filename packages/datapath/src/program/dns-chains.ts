/**
 * Which of a pod's packets are DNS for the proxy: the TCP and UDP ports of the rules that say what may be asked. Behind a Service they
 * may have another port, so a Service's port counts where it leads to one of those.
 *
 * Does not know: names, and whether the server may be asked: the proxy decides that.
 */
import { L4_PROTOCOL, type PortRange, type RuleSet, type Snapshot } from '@tandem/core';
import { FAMILIES, familyOf, WORDS } from './family.js';
import { dnsMatches } from './ports.js';

/** Where no rule names a port: for strangers, and for names that are denied everywhere. */
const DNS_PORT: PortRange = { first: 53, last: 53, protocol: null };

/** What DNS of pods with these rules comes by; empty: none of it goes to the proxy. */
export function dnsRanges({ rules }: RuleSet): readonly PortRange[] {
  return rules.flatMap(({ dnsPatterns, ports }) => (dnsPatterns === null ? [] : ports.length === 0 ? [DNS_PORT] : ports));
}

/** Of all pods, for those whose packets come from where nobody is known. */
export function anyDnsRanges(snapshot: Snapshot): readonly PortRange[] {
  return [DNS_PORT, ...snapshot.ruleSets.flatMap(dnsRanges)];
}

/** Services by the ports that lead to another one. */
export class DnsServices {
  private readonly moved: readonly { readonly address: string; readonly port: number; readonly protocol: number; readonly backendPorts: readonly number[] }[];

  constructor({ services }: Snapshot) {
    this.moved = services.flatMap(({ addresses, ports }) =>
      ports.flatMap(({ port, protocol, backends }) => {
        const backendPorts = [...new Set(backends.map((one) => one.port))].filter((one) => one !== port);
        return backendPorts.length === 0 ? [] : addresses.map((address) => ({ address, port, protocol, backendPorts }));
      }),
    );
  }

  /** Ports behind the Services that are asked at a port in the ranges, or have one in them: answers come from there. */
  backendPorts(ranges: readonly PortRange[]): readonly number[] {
    return this.moved
      .filter((one) => isMoved(ranges, one) || ranges.some(({ first, last }) => one.port >= first && one.port <= last))
      .flatMap(({ backendPorts }) => backendPorts);
  }

  /** Ports that are asked where a backend's is in the ranges and the asked one is not. */
  ports(ranges: readonly PortRange[]): readonly number[] {
    return this.moved.filter((one) => isMoved(ranges, one)).map(({ port }) => port);
  }

  /** Matches of packets to them (`dport`), or from them (`sport`), where a backend's port is in the ranges and the asked one is not. */
  matches(ranges: readonly PortRange[], side: 'dport' | 'sport'): readonly string[] {
    const found = this.moved.filter((one) => isMoved(ranges, one));
    return FAMILIES.flatMap((family) => {
      const own = found.filter(({ address }) => familyOf(address) === family);
      if (own.length === 0) return [];
      const keys = own.map(({ address, port, protocol }) => `${address} . ${protocol === L4_PROTOCOL.tcp ? 'tcp' : 'udp'} . ${port}`);
      return [`${WORDS[family].header} ${side === 'dport' ? 'daddr' : 'saddr'} . meta l4proto . th ${side} { ${keys.join(', ')} }`];
    });
  }
}

function isMoved(ranges: readonly PortRange[], { port, protocol, backendPorts }: { port: number; protocol: number; backendPorts: readonly number[] }): boolean {
  const isIn = (at: number): boolean => ranges.some((one) => (one.protocol === null || one.protocol === protocol) && at >= one.first && at <= one.last);
  return !isIn(port) && backendPorts.some(isIn);
}

/** All matches of DNS of these ranges. */
export function allDnsMatches(ranges: readonly PortRange[], services: DnsServices, side: 'dport' | 'sport'): readonly string[] {
  return [...dnsMatches(ranges, side), ...services.matches(ranges, side)];
}

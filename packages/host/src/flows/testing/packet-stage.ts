/** A member's ring of packets without its process: packets that a test makes, given their meaning as the member gives it. */
import { type LoggedPacket, type Mapping, monoMs, parseAddress } from '@tandem/core';
import { initRing, RING_CELLS_MIN, ringBytes } from '../flow-ring.js';
import { LearnedNames } from '../learned-names.js';
import type { RingMemory } from '../member-ring.js';
import { PacketFlows } from '../packet-flows.js';
import type { DecodeContext } from '../decode.js';
import { BOOTED_AT_MS } from './stage.js';

export type PacketShape = Partial<Omit<LoggedPacket, 'source' | 'destination' | 'atMs'>> & { readonly source?: string; readonly destination?: string; readonly atMs?: number };

/** A SYN of net1 to cnn.com, denied as no rule allows it. */
export function packetOf({ source = '10.0.0.7', destination = '203.0.113.7', atMs = 2000, ...rest }: PacketShape = {}): LoggedPacket {
  return {
    direction: 'egress', verdict: 'denied', ruleSet: null, rule: null, protocol: 6, sourcePort: 41_000, destinationPort: 443, tcpFlags: 0x02,
    icmpType: 0, icmpCode: 0, interfaceIndex: 12, ...rest, source: parseAddress(source)!, destination: parseAddress(destination)!, atMs: monoMs(atMs),
  };
}

export class PacketStage {
  readonly words = new Uint32Array(ringBytes(RING_CELLS_MIN) / 4);
  readonly flows: PacketFlows;
  readonly mappings: Mapping[] = [];
  isReleased = false;

  constructor(id: number, { directory }: Pick<DecodeContext, 'directory'>) {
    const { mappings } = this;
    initRing(this.words, RING_CELLS_MIN, [id, id], '1.2.3');
    const source = { get revision() { return mappings.length; }, ofEndpoint: (uid: string) => mappings.filter(({ endpointUid }) => endpointUid === uid) };
    this.flows = new PacketFlows({ directory, names: new LearnedNames(source, () => 0), bootedAtMs: () => BOOTED_AT_MS });
    this.flows.useRing(this.words);
  }

  get shared(): RingMemory {
    return { words: this.words, kind: 'packets', release: () => { this.isReleased = true; } };
  }

  learn(endpointUid: string, name: string, address: string): void {
    this.mappings.push({ endpointUid, name, address, lookupMs: monoMs(0), ttlSeconds: 30, expiryMs: monoMs(30_000) });
  }
}

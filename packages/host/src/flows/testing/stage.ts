/** Rings of members without their processes: records are written as the query path writes them, from packets that a test makes. */
import { type Outcome, parseAddress, setReceivedAtMs, SLOT, type SlotMemory, slotWord, type Snapshot } from '@tandem/core';
import { encodeMessage, type DnsMessage, type DnsRecord } from '@tandem/dns/codec';
import { FlowDirectory } from '../directory.js';
import type { DecodeContext } from '../decode.js';
import { initRing, RING_CELLS_MIN, ringBytes } from '../flow-ring.js';
import { FlowWriter } from '../flow-writer.js';
import type { RingMemory } from '../member-ring.js';

const ORIGIN = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'echo', path: 'spec.egress[0]' } as const;
const DENIAL = { kind: 'CiliumClusterwideNetworkPolicy', namespace: '', name: 'no-ads', path: 'spec.egressDeny[0]' } as const;
const RULE = { identities: null, fqdns: [], ports: [], dnsPatterns: null } as const;

export const SNAPSHOT: Snapshot = {
  revision: 3, hash: '00', nodeName: 'node-1',
  endpoints: [{ id: 7, uid: 'u', namespace: 'default', pod: 'net1-5d8c-x2x', identity: 300, addresses: ['10.0.0.7'], ruleSet: 0 }],
  identities: [
    { identity: 300, labels: ['k8s:app=net', 'k8s:io.kubernetes.pod.namespace=default', 'k8s:pod-template-hash=5d8c'], addresses: ['10.0.0.7'] },
    { identity: 301, labels: ['k8s:io.kubernetes.pod.namespace=kube-system', 'k8s:k8s-app=kube-dns'], addresses: ['10.0.1.53', '10.0.2.53'] },
  ],
  cidrs: [{ identity: 0x100_0001, cidr: '192.0.2.0/24' }],
  services: [{ namespace: 'kube-system', name: 'kube-dns', addresses: ['10.96.0.10'], ports: [{ port: 53, protocol: 17, backends: [{ address: '10.0.1.53', port: 53 }, { address: '10.0.2.53', port: 53 }] }] }],
  ruleSets: [{ key: 'k', rules: [{ ...RULE, origin: ORIGIN }, { ...RULE, deny: true, origin: DENIAL }] }],
  fqdnSelectors: [],
  policies: [
    { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'echo', specs: [{ path: 'spec', rules: 1, defaultDeny: true, endpoints: [7] }] },
    { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'other', specs: [{ path: 'spec', rules: 1, defaultDeny: true, endpoints: [8] }] },
  ],
};

export const BOOTED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

export function contextOf(snapshot: Snapshot | null = SNAPSHOT): DecodeContext {
  const directory = new FlowDirectory();
  if (snapshot !== null) directory.setSnapshot(snapshot);
  return { directory, nodeName: 'node-1', version: '1.2.3' };
}

export interface QueryShape {
  readonly name: string;
  readonly type?: string;
  readonly rule?: number;
  readonly outcome?: Outcome;
  readonly audited?: Outcome;
  readonly endpointId?: number;
  readonly from?: string;
  readonly server?: string;
  readonly isTcp?: boolean;
  readonly rcode?: number;
  readonly answers?: readonly DnsRecord[];
  readonly receivedAtMs?: number;
  readonly endedAtMs?: number;
  readonly revision?: number;
}

const HEADER: Omit<DnsMessage, 'rcode' | 'questions' | 'answers'> = {
  id: 1, response: true, opcode: 0, authoritative: false, truncated: false, recursionDesired: true, recursionAvailable: true, authenticData: false,
  checkingDisabled: false, authorities: [], additionals: [], edns: null,
};

/** One member's ring, in memory of this test. */
export class RingStage {
  readonly words: Uint32Array;
  isReleased = false;
  private readonly memory: SlotMemory;
  private readonly writer: FlowWriter;

  constructor(id: number, cells = RING_CELLS_MIN) {
    this.words = new Uint32Array(ringBytes(cells) / 4);
    initRing(this.words, cells, [id, id], '1.2.3');
    const bytes = new Uint8Array(80_000);
    this.memory = { bytes, words: new Uint32Array(bytes.buffer), slotCount: 1, firstSlotOffset: 0, slotStride: 1024, payloadOffset: 320 };
    this.writer = new FlowWriter(this.words, this.memory, { upstreams: [], policyPort: 53, bootedAtMs: () => BOOTED_AT_MS, isStolen: () => false });
  }

  get shared(): readonly RingMemory[] {
    return [{ words: this.words, kind: 'queries', release: () => { this.isReleased = true; } }];
  }

  write(shape: QueryShape): void {
    const { name, type = 'A', rcode = 0, answers = [] } = shape;
    this.writeBytes(encodeMessage({ ...HEADER, rcode, questions: [{ name, type }], answers }), shape);
  }

  writeBytes(message: Uint8Array, shape: Omit<QueryShape, 'name'>): void {
    const { memory, writer } = this;
    const word = slotWord(memory, 0);
    const at = 8192;
    memory.bytes.set(message, at);
    memory.words[word + SLOT.flags] = shape.isTcp === true ? 2 : 0;
    memory.words[word + SLOT.clientPort] = 40_000;
    memory.words[word + SLOT.serverPort] = 53;
    memory.bytes.set(parseAddress(shape.from ?? '10.0.0.7')!, (word + SLOT.clientAddress) * 4);
    memory.bytes.set(parseAddress(shape.server ?? '10.96.0.10')!, (word + SLOT.serverAddress) * 4);
    memory.words[word + SLOT.told] = 0;
    setReceivedAtMs(memory, 0, shape.receivedAtMs ?? 1000);
    writer.setRevision(shape.revision ?? SNAPSHOT.revision);
    writer.startBatch(shape.endedAtMs ?? (shape.receivedAtMs ?? 1000) + 2.5);
    writer.decided(0, shape.endpointId ?? 7, shape.rule ?? 0);
    if (shape.audited !== undefined) writer.audited(0, shape.audited);
    if (shape.outcome !== undefined) writer.end(0, shape.outcome);
    writer.answer(0, memory.bytes, at, message.length);
  }
}

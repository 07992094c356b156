/**
 * Writes logged packets into the control thread's own flow ring: the data plane's has one writer, and that is another thread.
 *
 * Invariant: one record per packet. It cannot fail.
 */
import type { LoggedPacket } from '@tandem/core';
import { CELL_BYTES } from './flow-ring.js';
import { flowsOfPacket, type Match, NAMES_AT, NAMES_BYTES_MAX, PACKET, packetKindWord, packetProtocolWord } from './packet-record.js';
import { RingAppender } from './ring-appender.js';

/** What the snapshot and the cache say of a packet. */
export interface PacketMeaning {
  /** Of the pod that was judged; 0: none. */
  readonly endpointId: number;
  /** As `PolicyIndex.decide` says it. */
  readonly rule: number;
  readonly revision: number;
  readonly match: Match;
  /** Of the other end; as many are kept as there is room for. */
  readonly names: readonly string[];
  /** Time of day at boot, milliseconds since 1970. */
  readonly bootedAtMs: number;
}

export class PacketWriter {
  private readonly appender: RingAppender;
  private readonly words: Uint32Array;
  private readonly bytes: Uint8Array;
  private readonly times: Float64Array;

  /** `ring`: a ring that `initRing` made, at an offset that is a multiple of 8, for this writer alone. */
  constructor(ring: Uint32Array) {
    this.appender = new RingAppender(ring);
    this.words = ring;
    this.bytes = new Uint8Array(ring.buffer, ring.byteOffset, ring.byteLength);
    this.times = new Float64Array(ring.buffer, ring.byteOffset, ring.length / 2);
  }

  write(packet: LoggedPacket, meaning: PacketMeaning): void {
    const { words, times } = this;
    const names = namesText(meaning.names);
    const word = this.appender.begin(Math.ceil((NAMES_AT + names.length) / CELL_BYTES));
    words[word + PACKET.kind] = packetKindWord(packet.verdict, packet.direction, packet.tcpFlags);
    words[word + PACKET.endpoint] = meaning.endpointId | (names.length << 16);
    times[(word + PACKET.atMs) >>> 1] = packet.atMs;
    words[word + PACKET.interface] = packet.interfaceIndex;
    words[word + PACKET.protocol] = packetProtocolWord(packet, meaning.match);
    words[word + PACKET.rule] = meaning.rule;
    words[word + PACKET.revision] = meaning.revision;
    words[word + PACKET.ports] = packet.sourcePort | (packet.destinationPort << 16);
    this.bytes.set(packet.source, (word + PACKET.source) * 4);
    this.bytes.set(packet.destination, (word + PACKET.destination) * 4);
    times[(word + PACKET.bootedAtMs) >>> 1] = meaning.bootedAtMs;
    const namesAt = (word + PACKET.names) * 4;
    for (let i = 0; i < names.length; i++) this.bytes[namesAt + i] = names.charCodeAt(i);
    this.appender.end(flowsOfPacket(packet.verdict));
  }
}

function namesText(names: readonly string[]): string {
  let text = '';
  for (const name of names) {
    const longer = text === '' ? name : `${text}\n${name}`;
    if (longer.length > NAMES_BYTES_MAX) break;
    text = longer;
  }
  return text;
}

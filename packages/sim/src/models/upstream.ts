/**
 * The DNS servers that members ask: truth, and everything that may come in its place.
 *
 * Invariant: addresses of the truth, of lies inside an answer and of forged answers come from three ranges, so that a
 * checker can tell what it sees. Does not know who asked, nor what policy says.
 */
import { HEADER_BYTES, TYPE } from '@tandem/dns';
import type { EventQueue } from '../base/event-queue.js';
import type { RandomStream } from '../base/random-stream.js';
import type { Query } from './datagram.js';

/** First bytes of addresses: 10/8 is true; what is off the alias chain is 203/8; what a forger sends is 198/8. */
export const TRUE_NET = 10;
export const OFF_CHAIN_NET = 203;
export const FORGED_NET = 198;

export const BEHAVIOURS = [
  'answer', 'silent', 'slow', 'no-such-name', 'fails', 'cut', 'large', 'alias', 'off-chain', 'forged-id', 'forged-question', 'forged-server',
  'forged-port', 'broken',
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** How often an upstream does what, in parts of the sum. */
export type Manners = Readonly<Partial<Record<Behaviour, number>>>;

export const HONEST: Manners = { answer: 184, 'no-such-name': 6, alias: 6, large: 1, cut: 2 };
export const LYING: Manners = {
  answer: 20, 'off-chain': 20, 'forged-id': 15, 'forged-question': 15, 'forged-server': 10, 'forged-port': 10, broken: 5, fails: 5,
};
export const SLOW: Manners = { answer: 40, slow: 40, silent: 20 };
export const SILENT: Manners = { silent: 1 };

/** One question on its way, and where its answer goes. */
export interface Asked {
  /** The packet, a copy. */
  readonly bytes: Uint8Array;
  readonly query: Query;
  /** Which of the upstreams was asked. */
  readonly server: number;
  /** Source port number of the asking member's pool. */
  readonly port: number;
  readonly receiver: AnswerReceiver;
}

export interface Answer {
  readonly bytes: Uint8Array;
  /** Whom it comes from: an upstream, −1 for somebody else. */
  readonly server: number;
  readonly port: number;
  readonly query: Query;
  /** It answers the question, truly or not. */
  readonly isMatching: boolean;
}

export interface AnswerReceiver {
  onAnswer(answer: Answer): void;
}

/** What names lead to, and for how long. */
export interface Zone {
  /** Bytes 1 to 3 of the name's address; changes now and then. */
  address(name: number, nowMs: number): number;
  ttlSeconds(name: number): number;
}

const FLAGS_RESPONSE = 0x8180;
const RCODE_SERVER_FAILURE = 2;
const RCODE_NO_NAME = 3;
const TRUNCATED_FLAG = 0x0200;
const POINTER_TO_QUESTION = 0xc00c;
const QUESTION_TAIL = 4;
const A_BYTES = 4;
const AAAA_BYTES = 16;
const LARGE_RECORDS = 64;
/** Questions that a forger's ID must not hit by chance; far more than are open at once. */
const RECENT_MAX = 1024;
/** A question and the addresses of a large answer. */
const PACKET_BYTES_MAX = 4096;

export class Upstream {
  manners: Manners = HONEST;
  /** One way. */
  delayMs: readonly [number, number] = [0.2, 4];
  private readonly queue: EventQueue;
  private readonly random: RandomStream;
  private readonly zone: Zone;
  private readonly onBehaviour: (behaviour: Behaviour, query: Query) => void;
  /** The same question may be open twice at one port: an answer with the other one's ID is no forgery. */
  private readonly recent = new Set<string>();

  constructor(options: {
    readonly queue: EventQueue;
    readonly random: RandomStream;
    readonly zone: Zone;
    readonly onBehaviour: (behaviour: Behaviour, query: Query) => void;
  }) {
    this.queue = options.queue;
    this.random = options.random;
    this.zone = options.zone;
    this.onBehaviour = options.onBehaviour;
  }

  ask(asked: Asked): void {
    const behaviour = this.choose();
    this.onBehaviour(behaviour, asked.query);
    this.remember(asked);
    let delayMs = this.delay() + this.delay();
    if (behaviour === 'silent') return;
    if (behaviour === 'slow') delayMs += this.random.between(300, 2500);
    if (!behaviour.startsWith('forged') && behaviour !== 'broken') {
      this.send(asked, behaviour, delayMs);
      return;
    }
    // Who forges is faster than the truth, which mostly still comes.
    this.send(asked, behaviour, this.random.between(0.05, 0.2));
    if (this.random.chance(0.8)) this.send(asked, 'answer', delayMs + 1);
  }

  private send(asked: Asked, behaviour: Behaviour, delayMs: number): void {
    this.queue.after(delayMs, () => {
      asked.receiver.onAnswer(this.answerTo(asked, behaviour));
    });
  }

  private answerTo(asked: Asked, behaviour: Behaviour): Answer {
    const { query, port, server } = asked;
    const bytes = this.bytesOf(asked, behaviour);
    const isForged = behaviour.startsWith('forged') || behaviour === 'broken';
    return {
      bytes,
      query,
      server: behaviour === 'forged-server' ? -1 : server,
      port: behaviour === 'forged-port' ? port ^ 1 : port,
      isMatching: !isForged,
    };
  }

  private bytesOf(asked: Asked, behaviour: Behaviour): Uint8Array {
    const { bytes: question, query } = asked;
    const end = questionEnd(question);
    const packet = new Packet(question, end);
    const isForged = behaviour.startsWith('forged');
    const net = isForged ? FORGED_NET : TRUE_NET;
    const ttl = this.zone.ttlSeconds(query.name);
    const host = this.zone.address(query.name, this.queue.nowMs);
    switch (behaviour) {
      case 'no-such-name':
        return packet.finish(FLAGS_RESPONSE | RCODE_NO_NAME);
      case 'fails':
        return packet.finish(FLAGS_RESPONSE | RCODE_SERVER_FAILURE);
      case 'cut':
        return packet.finish(FLAGS_RESPONSE | TRUNCATED_FLAG);
      case 'large':
        for (let i = 0; i < LARGE_RECORDS; i++) packet.address(query.type, net, (host + i) & 0xff_ffff, ttl, POINTER_TO_QUESTION);
        return packet.finish(FLAGS_RESPONSE);
      case 'alias': {
        const target = packet.alias(ttl);
        packet.address(query.type, net, host, ttl, target);
        return packet.finish(FLAGS_RESPONSE);
      }
      case 'off-chain': {
        packet.address(query.type, net, host, ttl, POINTER_TO_QUESTION);
        packet.stranger(query.type, OFF_CHAIN_NET, host, ttl);
        return packet.finish(FLAGS_RESPONSE);
      }
      default:
        packet.address(query.type, net, host, ttl, POINTER_TO_QUESTION);
    }
    const answer = packet.finish(FLAGS_RESPONSE);
    if (behaviour === 'forged-id') {
      const id = this.foreignId(asked);
      answer[0] = id >> 8;
      answer[1] = id & 0xff;
    }
    // The first letter of the name becomes another one.
    if (behaviour === 'forged-question') answer[HEADER_BYTES + 1] ^= 1;
    return behaviour === 'broken' ? answer.subarray(0, answer.length - 7) : answer;
  }

  private remember(asked: Asked): void {
    this.recent.add(questionKey(asked, idOf(asked)));
    for (const oldest of this.recent) {
      if (this.recent.size <= RECENT_MAX) break;
      this.recent.delete(oldest);
    }
  }

  /** An ID under which this was not asked. */
  private foreignId(asked: Asked): number {
    let id = idOf(asked) ^ 0x55;
    while (this.recent.has(questionKey(asked, id))) id = (id + 1) & 0xffff;
    return id;
  }

  private choose(): Behaviour {
    const { manners } = this;
    let sum = 0;
    for (const behaviour of BEHAVIOURS) sum += manners[behaviour] ?? 0;
    let draw = this.random.int(sum);
    for (const behaviour of BEHAVIOURS) {
      draw -= manners[behaviour] ?? 0;
      if (draw < 0) return behaviour;
    }
    return 'answer';
  }

  private delay(): number {
    return this.random.between(this.delayMs[0], this.delayMs[1]);
  }
}

function idOf({ bytes }: Asked): number {
  return (bytes[0] << 8) | bytes[1];
}

function questionKey({ port, query }: Asked, id: number): string {
  return `${port} ${id} ${query.name} ${query.type}`;
}

/** Offset after the question of a packet with one uncompressed name. */
export function questionEnd(packet: Uint8Array): number {
  let at = HEADER_BYTES;
  while (packet[at] !== 0) at += packet[at] + 1;
  return at + 1 + QUESTION_TAIL;
}

/** Packets are written here one at a time, and are copied out when they are done. */
const scratch = new Uint8Array(PACKET_BYTES_MAX);

/** Writes an answer packet: the question, then records. */
class Packet {
  private readonly bytes = scratch;
  private at: number;
  private records = 0;

  constructor(question: Uint8Array, end: number) {
    this.bytes.fill(0);
    for (let i = 0; i < end; i++) this.bytes[i] = question[i];
    this.at = end;
  }

  /** An address record; `owner` is a compression pointer. */
  address(type: number, net: number, host: number, ttl: number, owner: number): void {
    this.pair(owner);
    const isV6 = type === TYPE.AAAA;
    this.head(isV6 ? TYPE.AAAA : TYPE.A, ttl, isV6 ? AAAA_BYTES : A_BYTES);
    if (isV6) {
      this.bytes[this.at] = 0x20;
      this.bytes[this.at + 1] = 0x01;
      this.at += AAAA_BYTES - A_BYTES;
    }
    this.bytes[this.at++] = net;
    this.bytes[this.at++] = host >>> 16;
    this.bytes[this.at++] = (host >>> 8) & 0xff;
    this.bytes[this.at++] = host & 0xff;
  }

  /** An alias of the question to `c.` before its name; returns a pointer to the target. */
  alias(ttl: number): number {
    this.pair(POINTER_TO_QUESTION);
    this.head(TYPE.CNAME, ttl, 4);
    const target = 0xc000 | this.at;
    this.label('c');
    this.pair(POINTER_TO_QUESTION);
    return target;
  }

  /** An address of a name that nobody asked for: `evil.` before the question's. */
  stranger(type: number, net: number, host: number, ttl: number): void {
    this.label('evil');
    this.address(type, net, host, ttl, POINTER_TO_QUESTION);
  }

  finish(flags: number): Uint8Array {
    const { bytes } = this;
    bytes[2] = flags >>> 8;
    bytes[3] = flags & 0xff;
    bytes[6] = 0;
    bytes[7] = this.records;
    bytes.fill(0, 8, HEADER_BYTES);
    return bytes.slice(0, this.at);
  }

  private head(type: number, ttl: number, dataBytes: number): void {
    this.pair(type);
    this.pair(1);
    this.pair(ttl >>> 16);
    this.pair(ttl & 0xffff);
    this.pair(dataBytes);
    this.records++;
  }

  private label(text: string): void {
    this.bytes[this.at++] = text.length;
    for (let i = 0; i < text.length; i++) this.bytes[this.at++] = text.charCodeAt(i);
  }

  private pair(value: number): void {
    this.bytes[this.at++] = (value >>> 8) & 0xff;
    this.bytes[this.at++] = value & 0xff;
  }
}

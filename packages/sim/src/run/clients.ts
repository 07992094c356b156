/**
 * Clients: pods and strangers with many sockets each, who ask in bursts and never twice.
 */
import { TYPE } from '@tandem/dns';
import type { RandomStream } from '../base/random-stream.js';
import type { Datagram, Flow, Query } from '../models/datagram.js';
import { HEADER_BYTES } from '@tandem/dns';
import { NAMES, PODS, podAddress, POISON_NAME } from './policies.js';
import type { World } from './world.js';

const FLOWS_PER_POD = 12;
const STRANGER_FLOWS = 4;
const BURST_MAX = 24;
const FIRST_PORT = 20_000;
const EDNS_UDP_BYTES = 1232;
const EDNS_BYTES = 11;
/** A datagram that is no question. */
const NO_NAME = -1;

export class Clients {
  readonly flows: readonly Flow[];
  private readonly world: World;
  private readonly random: RandomStream;
  private readonly nextIds: number[];
  private readonly common: readonly number[];
  private readonly others: readonly number[];
  private count = 0;

  constructor(world: World) {
    this.world = world;
    this.random = world.random.fork('clients');
    this.flows = Array.from({ length: PODS * FLOWS_PER_POD + STRANGER_FLOWS }, (_, number) => {
      const pod = number < PODS * FLOWS_PER_POD ? number % PODS : -1;
      return flowOf(number, pod, this.random.int(0x1_0000_0000));
    });
    this.nextIds = this.flows.map(() => this.random.int(0x1_0000));
    this.common = NAMES.flatMap(({ kind }, i) => (kind === 'common' ? [i] : []));
    this.others = NAMES.flatMap(({ kind }, i) => (kind === 'common' || kind === 'poison' ? [] : [i]));
  }

  get asked(): number {
    return this.count;
  }

  /** Asks so many questions over so long, in bursts. */
  schedule(queries: number, overMs: number): void {
    let left = queries;
    const bursts: number[] = [];
    while (left > 0) {
      const burst = Math.min(left, this.random.chance(0.7) ? 1 + this.random.int(3) : 1 + this.random.int(BURST_MAX));
      bursts.push(burst);
      left -= burst;
    }
    for (const burst of bursts) {
      this.world.queue.after(this.random.between(0, overMs), () => {
        for (let i = 0; i < burst; i++) this.askAnything();
      });
    }
  }

  askPoison(): void {
    this.ask(this.flows[this.random.int(PODS * FLOWS_PER_POD)], POISON_NAME, TYPE.A);
  }

  ask(flow: Flow, name: number, type: number): Query {
    const bytes = packetOf(name, type, this.random.chance(0.3));
    return this.send(flow, name, type, bytes);
  }

  private askAnything(): void {
    const flow = this.random.pick(this.flows);
    if (this.random.chance(0.01)) {
      this.send(flow, NO_NAME, 0, packetOf(this.random.pick(this.common), TYPE.A, false).subarray(0, HEADER_BYTES + 3).slice());
      return;
    }
    const name = this.random.chance(0.75) ? this.random.pick(this.common) : this.random.pick(this.others);
    this.ask(flow, name, this.random.chance(0.8) ? TYPE.A : TYPE.AAAA);
  }

  private send(flow: Flow, name: number, type: number, bytes: Uint8Array): Query {
    const id = this.nextIds[flow.number]++ & 0xffff;
    bytes[0] = id >>> 8;
    bytes[1] = id & 0xff;
    const query: Query = { number: ++this.count, flow, id, name, type, sentMs: this.world.queue.nowMs, answers: 0, excused: 0 };
    const datagram: Datagram = { bytes, flow, query };
    this.world.send(datagram);
    return query;
  }
}

export function flowOf(number: number, pod: number, hash: number): Flow {
  const address = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...podAddress(pod)]);
  return { number, address: new Uint32Array(address.buffer), port: FIRST_PORT + number, hash, pod, open: new Map() };
}

/** A query for the name, ID 0. */
export function packetOf(name: number, type: number, hasEdns: boolean): Uint8Array {
  const { wire } = NAMES[name];
  const end = HEADER_BYTES + wire.length + 4;
  const bytes = new Uint8Array(end + (hasEdns ? EDNS_BYTES : 0));
  bytes[2] = 1;
  bytes[5] = 1;
  bytes.set(wire, HEADER_BYTES);
  bytes[end - 3] = type;
  bytes[end - 1] = 1;
  if (hasEdns) {
    bytes[11] = 1;
    bytes[end + 2] = TYPE.OPT;
    bytes[end + 3] = EDNS_UDP_BYTES >>> 8;
    bytes[end + 4] = EDNS_UDP_BYTES & 0xff;
  }
  return bytes;
}

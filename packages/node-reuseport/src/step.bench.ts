/**
 * An echo and a relay on loopback, driven from a second process with a fixed window of packets under way.
 * Prints CPU µs per packet of the relaying process alone; run: node dist/step.bench.js [packets]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { bindSocket, localAddress, openSocket } from './sockets.js';
import { Journal, Meta } from './journal.js';
import { answerRowStride, Control, Reactor, TransmitKind, transmitStride } from './reactor.js';

const windowPackets = 512;
const queryBytes = 44;
const socketBufferBytes = 4 << 20;
const listenerSockets = 16;

function udp(): number {
  const fd = openSocket({ type: 'udp', family: 4, receiveBufferBytes: socketBufferBytes });
  bindSocket(fd, '127.0.0.1', 0);
  return fd;
}

function setUpstream(journal: Journal, slot: number, port: number): void {
  const bytes = new Uint8Array(journal.buffer);
  const start = journal.layout.slotOffset + slot * journal.layout.slotStride;
  bytes.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1], start + Meta.UPSTREAM_ADDRESS * 4);
  new Uint32Array(journal.buffer, start, 32)[Meta.UPSTREAM_PORT] = port;
}

/** Sends each answer it gets as the next question, and plays the upstream for relayed ones. */
function generate(port: number, packets: number): void {
  const journal = Journal.create({ slots: 8192, batch: 64, transmitCapacity: 1024 });
  const reactor = new Reactor(journal);
  const server = udp();
  reactor.addListener(server, 0);
  for (let i = 0; i < listenerSockets; i++) reactor.addUpstream(udp(), i);
  process.send?.({ upstreamPort: localAddress(server).port });
  const slot = reactor.allocateSlot();
  setUpstream(journal, slot, port);
  const { layout } = journal;
  const payload = layout.slotOffset + slot * layout.slotStride + layout.payloadOffset;
  const words = new Uint32Array(journal.buffer);
  const { transmit, received, answers, control } = reactor;
  let rows = 0;
  const add = (kind: number, of: number, offset: number, length: number, upstream: number): void => {
    const at = rows++ * transmitStride;
    transmit[at] = kind;
    transmit[at + 1] = of;
    transmit[at + 2] = offset;
    transmit[at + 3] = length;
    transmit[at + 4] = upstream;
  };
  for (let i = 0; i < windowPackets; i++) add(TransmitKind.ASK, slot, payload, queryBytes, (i >> 5) % listenerSockets);
  for (let done = 0; done < packets; ) {
    reactor.step(rows, 100);
    rows = 0;
    const queries = control[Control.RECEIVED];
    for (let i = 0; i < queries; i++) {
      const meta = (layout.slotOffset + received[i] * layout.slotStride) >> 2;
      add(TransmitKind.REPLY, received[i], meta * 4 + layout.payloadOffset, words[meta + Meta.LENGTH], 0);
    }
    const count = control[Control.ANSWERS];
    for (let i = 0; i < count; i++) {
      add(TransmitKind.ASK, slot, payload, queryBytes, answers[i * answerRowStride + 2]);
    }
    done += count;
  }
  process.send?.('done');
}

function child(port: number, packets: number): ChildProcess {
  return fork(fileURLToPath(import.meta.url), ['generate', String(port), String(packets)]);
}

interface Outcome {
  microseconds: number;
  perStep: number;
  packetsPerSecond: number;
}

async function measure(relay: boolean, packets: number): Promise<Outcome> {
  const journal = Journal.create({ slots: 8192, batch: 64, transmitCapacity: 1024 });
  const reactor = new Reactor(journal);
  const listener = udp();
  reactor.addListener(listener, 0);
  reactor.addUpstream(udp(), 0);
  const generator = child(localAddress(listener).port, packets);
  const upstreamPort = await new Promise<number>((resolve) =>
    generator.once('message', (m: { upstreamPort: number }) => {
      resolve(m.upstreamPort);
    }),
  );
  for (let slot = 0; slot < journal.layout.slots; slot++) setUpstream(journal, slot, upstreamPort);
  const steps = serve(reactor, { relay, packets, upstreamPort });
  generator.kill();
  return steps;
}

function serve(reactor: Reactor, o: { relay: boolean; packets: number; upstreamPort: number }): Outcome {
  const { layout, buffer } = reactor.journal;
  const words = new Uint32Array(buffer);
  const { transmit, received, answers, control } = reactor;
  // Questions come back in order on one loopback socket, so the oldest slot waits longest.
  const waiting = new Uint32Array(layout.slots);
  let head = 0;
  let tail = 0;
  let rows = 0;
  let done = 0;
  let steps = 0;
  const cpu = process.cpuUsage();
  const started = process.hrtime.bigint();
  const address = new Uint32Array(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1).buffer);
  while (done < o.packets) {
    if (reactor.step(rows, 1000) === 0) break;
    steps++;
    rows = 0;
    const count = control[Control.RECEIVED];
    for (let i = 0; i < count; i++) {
      const slot = received[i];
      const meta = (layout.slotOffset + slot * layout.slotStride) >> 2;
      const at = rows++ * transmitStride;
      transmit[at] = o.relay ? TransmitKind.ASK : TransmitKind.REPLY;
      transmit[at + 1] = slot;
      transmit[at + 2] = meta * 4 + layout.payloadOffset;
      transmit[at + 3] = words[meta + Meta.LENGTH];
      transmit[at + 4] = 0;
      if (!o.relay) continue;
      words.set(address, meta + Meta.UPSTREAM_ADDRESS);
      words[meta + Meta.UPSTREAM_PORT] = o.upstreamPort;
      waiting[tail++ % layout.slots] = slot;
    }
    const returned = control[Control.ANSWERS];
    for (let i = 0; i < returned && head < tail; i++) {
      const at = rows++ * transmitStride;
      transmit[at] = TransmitKind.REPLY;
      transmit[at + 1] = waiting[head++ % layout.slots];
      transmit[at + 2] = answers[i * answerRowStride];
      transmit[at + 3] = answers[i * answerRowStride + 1];
    }
    done += o.relay ? returned : count;
  }
  const used = process.cpuUsage(cpu);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  return {
    microseconds: (used.user + used.system) / done,
    perStep: done / steps,
    packetsPerSecond: done / seconds,
  };
}

if (process.argv[2] === 'generate') {
  generate(Number(process.argv[3]), Number(process.argv[4]));
} else {
  const packets = Number(process.argv[2] ?? 300_000);
  for (const relay of [false, true, false, true]) {
    const o = await measure(relay, packets);
    process.stdout.write(
      `${relay ? 'relay' : 'echo '} ${String(packets)} packets: ${o.microseconds.toFixed(2)} µs CPU/packet, ` +
        `${o.perStep.toFixed(1)} packets/step, ${(o.packetsPerSecond / 1000).toFixed(0)}k/s\n`,
    );
  }
  process.exit(0);
}

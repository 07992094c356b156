/** The synthetic upstream of a drill (native/upstream.cc), and the faults that it can be told to have. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Child } from '#harness/child.js';
import { until, within } from '#harness/until.js';
import { nativeTool } from './native.js';

const DEADLINE_MS = 30_000;

export interface UpstreamCounts {
  readonly asked: number;
  readonly lies: number;
}

export class Upstream {
  readonly child: Child;
  readonly address: string;
  readonly port: number;
  private readonly controlPort: number;

  private constructor(child: Child, at: { address: string; port: number; controlPort: number }) {
    this.child = child;
    this.address = at.address;
    this.port = at.port;
    this.controlPort = at.controlPort;
  }

  static async start(address: string, delayMs: number): Promise<Upstream> {
    const child = new Child(nativeTool('upstream'), ['--listen', `${address}:0`, '--delay-ms', String(delayMs)]);
    const ready = await until('the upstream to be ready', DEADLINE_MS, () => {
      if (child.exit !== null) throw new Error(`the upstream ended: ${child.output}`);
      return /^ready (\d+) (\d+)$/m.exec(child.standardOutput);
    });
    return new Upstream(child, { address, port: Number(ready[1]), controlPort: Number(ready[2]) });
  }

  /** Answers wait so long from now on. */
  delay(ms: number): Promise<UpstreamCounts> {
    return this.command(`delay-ms ${String(ms)}`);
  }

  silence(isSilent: boolean): Promise<UpstreamCounts> {
    return this.command(`silent ${isSilent ? '1' : '0'}`);
  }

  lie(isLying: boolean): Promise<UpstreamCounts> {
    return this.command(`lies ${isLying ? '1' : '0'}`);
  }

  counts(): Promise<UpstreamCounts> {
    return this.command('counts 0');
  }

  private async command(text: string): Promise<UpstreamCounts> {
    const socket = createSocket('udp4');
    try {
      socket.connect(this.controlPort, this.address);
      await once(socket, 'connect');
      const reply = once(socket, 'message') as Promise<[Buffer]>;
      socket.send(text);
      const [bytes] = await within(`the upstream's reply to "${text}"`, DEADLINE_MS, reply);
      return JSON.parse(bytes.toString()) as UpstreamCounts;
    } finally {
      socket.close();
    }
  }
}

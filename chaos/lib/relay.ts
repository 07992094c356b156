/**
 * Stands between the two ends of the pair link: takes the place of the agent's Unix socket and passes bytes on, until it is
 * told to cut the link or to stop in the middle of a message. Knows nothing of what is said.
 */
import { renameSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { once } from 'node:events';

export class LinkRelay {
  private readonly server: Server;
  private readonly real: string;
  private readonly path: string;
  private readonly sockets = new Set<Socket>();
  private isCut = false;
  private onHalf: (() => void) | null = null;

  private constructor(path: string) {
    this.path = path;
    this.real = `${path}.real`;
    renameSync(path, this.real);
    this.server = createServer((caller) => {
      this.join(caller);
    });
  }

  /** From now on connections to the path come here; those that exist stay as they are. */
  static async interpose(path: string): Promise<LinkRelay> {
    const relay = new LinkRelay(path);
    relay.server.listen(path);
    await once(relay.server, 'listening');
    return relay;
  }

  get connections(): number {
    return this.sockets.size / 2;
  }

  cut(): void {
    this.isCut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  heal(): void {
    this.isCut = false;
  }

  /** Resolves when the caller's next bytes have been passed on by half; the rest follows after `release`. */
  async half(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.onHalf = resolve;
    });
  }

  /** Sets what was held free. */
  release: () => void = () => undefined;

  /** The agent's socket is at its path again. */
  close(): void {
    this.cut();
    this.server.close();
    renameSync(this.real, this.path);
  }

  private join(caller: Socket): void {
    if (this.isCut) {
      caller.destroy();
      return;
    }
    const callee = connect(this.real);
    for (const [one, other] of [[caller, callee], [callee, caller]] as const) {
      this.sockets.add(one);
      one.on('error', () => undefined); // its end is what counts
      one.on('close', () => {
        this.sockets.delete(one);
        other.destroy();
      });
    }
    callee.on('data', (bytes) => caller.write(bytes));
    caller.on('data', (bytes) => {
      if (this.onHalf === null) callee.write(bytes);
      else this.hold(bytes, callee, caller);
    });
  }

  private hold(bytes: Buffer, callee: Socket, caller: Socket): void {
    const middle = bytes.length >> 1;
    callee.write(bytes.subarray(0, middle), this.onHalf!);
    this.onHalf = null;
    caller.pause();
    this.release = () => {
      callee.write(bytes.subarray(middle));
      caller.resume();
      this.release = () => undefined;
    };
  }
}

/**
 * The connections of one HTTP server. One more than the bound ends the one that has waited longest for its client to ask, or to end
 * what it asks: however many are left open, a probe gets in. Where none waits, the one that came, or waited, longest ago is ended.
 *
 * Invariant: no more are open than the bound.
 */
import type { Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export class HttpConnections {
  private readonly max: number;
  /** What each is being answered; null while it is not. In the order in which they came, or were last answered. */
  private readonly answers = new Map<Socket, ServerResponse | null>();

  constructor(server: Server, max: number) {
    this.max = max;
    server.on('connection', (socket: Socket) => { this.add(socket); });
    server.on('request', ({ socket }, response) => {
      this.answers.set(socket, response);
      response.once('close', () => { this.answered(socket, response); });
    });
  }

  /** What is being answered there; null: nothing. */
  answerOn(socket: Socket): ServerResponse | null {
    return this.answers.get(socket) ?? null;
  }

  private add(socket: Socket): void {
    if (this.answers.size >= this.max) {
      const longest = this.longest();
      this.answers.delete(longest);
      longest.destroy();
    }
    this.answers.set(socket, null);
    // Node takes its own listener away before CONNECT; a client that resets then is no fault of ours.
    socket.on('error', () => undefined);
    socket.once('close', () => { this.answers.delete(socket); });
  }

  private answered(socket: Socket, response: ServerResponse): void {
    // Gone, or it is another request's turn.
    if (this.answers.get(socket) !== response) return;
    this.answers.delete(socket);
    this.answers.set(socket, null);
  }

  private longest(): Socket {
    for (const [socket, response] of this.answers) if (response?.req.complete !== true) return socket;
    return this.answers.keys().next().value!;
  }
}

/** What the reactor reports of one descriptor. */
import { type Reactor, ReadyEvent } from 'node-reuseport';

export class Interest {
  private readonly reactor: Reactor;
  private readonly fd: number;
  private readonly token: number;
  private events: number;

  constructor(reactor: Reactor, fd: number, token: number, events: number) {
    this.reactor = reactor;
    this.fd = fd;
    this.token = token;
    this.events = events;
    reactor.watch(fd, token, events);
  }

  setInput(wanted: boolean): void {
    this.set(ReadyEvent.IN, wanted);
  }

  setOutput(wanted: boolean): void {
    this.set(ReadyEvent.OUT, wanted);
  }

  end(): void {
    this.reactor.unwatch(this.fd);
  }

  private set(event: number, wanted: boolean): void {
    const events = wanted ? this.events | event : this.events & ~event;
    if (events === this.events) return;
    this.events = events;
    this.reactor.rewatch(this.fd, this.token, events);
  }
}

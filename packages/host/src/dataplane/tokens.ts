/** Numbers for the file descriptors that the reactor watches, and who is told when one is ready. */
export interface Watcher {
  /** `events`: bits of the addon's ReadyEvent. */
  onReady(events: number): void;
}

export class Tokens {
  private readonly watchers: (Watcher | null)[] = [];
  private readonly free: number[] = [];
  private readonly removed: number[] = [];

  add(watcher: Watcher): number {
    const token = this.free.pop() ?? this.watchers.length;
    this.watchers[token] = watcher;
    return token;
  }

  /** The number is not given to another before `recycle`. */
  remove(token: number): void {
    this.watchers[token] = null;
    this.removed.push(token);
  }

  /** Called between batches: until then an event for a removed watcher may still lie in the batch that removed it. */
  recycle(): void {
    while (this.removed.length > 0) this.free.push(this.removed.pop()!);
  }

  dispatch(token: number, events: number): void {
    this.watchers[token]?.onReady(events);
  }
}

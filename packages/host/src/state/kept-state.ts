/**
 * A state file that is kept equal to what is in memory: written when the content is another than the one on disk, and
 * again every so often while the disk does not take it.
 *
 * Invariant: while `isBehind` is false, a restart reads what was last kept.
 */
import type { StateFile } from './state-file.js';

const RETRY_EVERY_MS = 10_000;

export interface KeptStateOptions<T> {
  /** Whether the two need no write between them. */
  readonly isSame: (a: T, b: T) => boolean;
  /** For tests. */
  readonly retryEveryMs?: number;
}

export class KeptState<T> {
  private readonly file: StateFile<T>;
  private readonly options: KeptStateOptions<T>;
  /** As the file was last read or written. */
  private onDisk: T | null = null;
  /** What the disk did not take. */
  private owed: T | null = null;
  private timer: NodeJS.Timeout | null = null;

  constructor(file: StateFile<T>, options: KeptStateOptions<T>) {
    this.file = file;
    this.options = options;
  }

  /** True while the disk holds something older than what is in memory. */
  get isBehind(): boolean {
    return this.owed !== null;
  }

  get path(): string {
    return this.file.path;
  }

  /** The last good content; null when there is none. */
  read(): T | null {
    this.onDisk = this.file.read();
    return this.onDisk;
  }

  keep(content: T): void {
    this.owed = null;
    if (this.onDisk === null || !this.options.isSame(this.onDisk, content)) this.write(content);
  }

  /** One last try, and no more. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (this.owed !== null && this.file.write(this.owed)) this.owed = null;
  }

  private write(content: T): void {
    if (this.file.write(content)) {
      this.onDisk = content;
      this.owed = null;
      return;
    }
    // Renaming may have got half way: nothing is known of the disk now.
    this.onDisk = null;
    this.owed = content;
    this.timer ??= setTimeout(() => {
      this.timer = null;
      if (this.owed !== null) this.write(this.owed);
    }, this.options.retryEveryMs ?? RETRY_EVERY_MS).unref();
  }
}

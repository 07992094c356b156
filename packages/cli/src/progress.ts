/** What long work is at, on one line of standard error that is drawn over; nothing where that is no terminal. */
import type { Io } from './io.js';

const START = '\r';
const ERASE_LINE = '\x1b[K';

export class Progress {
  private readonly io: Io;
  private isShown = false;

  constructor(io: Io) {
    this.io = io;
  }

  show(text: string): void {
    if (!this.io.showsProgress) return;
    this.isShown = true;
    this.io.err(`${START}${text}${ERASE_LINE}`);
  }

  /** Before anything else is written, and at the end. */
  clear(): void {
    if (this.isShown) this.io.err(`${START}${ERASE_LINE}`);
    this.isShown = false;
  }
}

/** Shows `text` while `work` runs. */
export async function during<T>(io: Io, text: string, work: () => Promise<T>): Promise<T> {
  const progress = new Progress(io);
  progress.show(text);
  try {
    return await work();
  } finally {
    progress.clear();
  }
}

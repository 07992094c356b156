/** The process around a command, for tests: output is kept, the rest is as the test says. */
import type { Io, Screen } from '../io.js';

export interface FakeOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** One character per byte. */
  readonly input?: string;
  /** What a question is answered with; null: there is no terminal. */
  readonly says?: boolean | null;
  readonly screen?: Screen | null;
  readonly showsProgress?: boolean;
  /** Ctrl-C. */
  readonly interrupt?: AbortSignal;
  /** Called with each piece of output. */
  readonly onOut?: (text: string) => void;
  readonly onErr?: (text: string) => void;
}

export class FakeIo implements Io {
  readonly env: Readonly<Record<string, string>>;
  readonly isTerminal = false;
  readonly screen: Screen | null;
  readonly showsProgress: boolean;
  readonly questions: string[] = [];
  stdout = '';
  stderr = '';
  code = 0;
  /** What the command does when its output cannot be written any more. */
  outputLost: (() => void) | null = null;
  private readonly options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.options = options;
    this.env = options.env ?? {};
    this.screen = options.screen ?? null;
    this.showsProgress = options.showsProgress ?? false;
  }

  out(text: string): void {
    this.stdout += text;
    this.options.onOut?.(text);
  }

  err(text: string): void {
    this.stderr += text;
    this.options.onErr?.(text);
  }

  onOutputLost(act: (() => void) | null): void {
    this.outputLost = act;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return work(this.options.interrupt ?? new AbortController().signal);
  }

  async *input(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from(this.options.input ?? '', 'latin1'));
  }

  readInput(bytesMax: number): Promise<Uint8Array | null> {
    const bytes = Buffer.from(this.options.input ?? '', 'latin1');
    return Promise.resolve(bytes.length > bytesMax ? null : bytes);
  }

  confirm(question: string): Promise<boolean | null> {
    this.questions.push(question);
    return Promise.resolve(this.options.says ?? null);
  }

  setExitCode(code: number): void {
    this.code = code;
  }
}

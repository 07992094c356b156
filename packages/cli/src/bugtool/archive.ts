/**
 * A folder of what was found, and the index of it. A step that fails, takes too long or brings too much ends with a note in the index, and
 * the next one goes on.
 *
 * Invariant: nothing is written that was not redacted, and not more than the bounds say.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { redactJson, redactText } from './redact.js';

export interface Entry {
  /** Below the archive's folder. */
  readonly path: string;
  readonly bytes: number;
  readonly ms: number;
  /** What went wrong, or was left out; absent: nothing. */
  readonly note?: string;
}

export interface Step {
  readonly path: string;
  /** What is to be written; null: there is nothing, which is all right. */
  readonly collect: () => string | null | Promise<string | null>;
}

export const STEP_BYTES_MAX = 32 * 1024 * 1024;
const TOTAL_BYTES_MAX = 128 * 1024 * 1024;
const STEP_MS_MAX = 10_000;
const PRIVATE_DIR = 0o700;
const PRIVATE_FILE = 0o600;

export class Archive {
  readonly entries: Entry[] = [];
  private readonly dir: string;
  private total = 0;

  /** `dir` is there, and empty. */
  constructor(dir: string) {
    this.dir = dir;
  }

  async add({ path, collect }: Step): Promise<void> {
    const startMs = performance.now();
    let bytes = 0;
    let note: string | undefined;
    try {
      const text = await within(STEP_MS_MAX, collect);
      if (text === null) return;
      const left = Math.min(STEP_BYTES_MAX, TOTAL_BYTES_MAX - this.total);
      const clean = redacted(path, text);
      const kept = Buffer.from(clean, 'utf8');
      if (kept.length > left) note = `cut: it has ${kept.length} bytes, and ${Math.max(0, left)} were left`;
      bytes = this.write(path, kept.subarray(0, Math.max(0, left)));
    } catch (error) {
      note = error instanceof Error ? error.message : String(error);
    }
    this.entries.push({ path, bytes, ms: Math.round(performance.now() - startMs), ...(note === undefined ? {} : { note: redactText(note) }) });
  }

  /** Last: `index.json`. */
  end(facts: Readonly<Record<string, unknown>>): void {
    this.write('index.json', Buffer.from(`${JSON.stringify({ ...facts, entries: this.entries }, null, 2)}\n`));
  }

  private write(path: string, bytes: Buffer): number {
    const target = join(this.dir, path);
    mkdirSync(dirname(target), { recursive: true, mode: PRIVATE_DIR });
    writeFileSync(target, bytes, { mode: PRIVATE_FILE, flag: 'wx' });
    this.total += bytes.length;
    return bytes.length;
  }
}

/** JSON by its structure; what is cut or no JSON after all, as text. */
function redacted(path: string, text: string): string {
  if (!path.endsWith('.json')) return path.endsWith('.jsonl') ? text.split('\n').map((line) => redacted('.json', line)).join('\n') : redactText(text);
  try {
    return JSON.stringify(redactJson(JSON.parse(text)), null, path === '.json' ? 0 : 1);
  } catch {
    return redactText(text);
  }
}

async function within<T>(ms: number, work: () => T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => { timer = setTimeout(() => { reject(new Error(`gave up after ${ms / 1_000} s`)); }, ms); });
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}

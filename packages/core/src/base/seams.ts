/**
 * What `core` needs from the world. `host` fills these with the real thing, `sim` with one under a seed. A seam never
 * calls back inside the call: results arrive as later events.
 */
declare const mono: unique symbol;

/** Milliseconds of CLOCK_BOOTTIME: the same for all processes of one kernel, goes on in suspend, never stepped. */
export type MonoMs = number & { readonly [mono]: true };

export function monoMs(value: number): MonoMs {
  return value as MonoMs;
}

export interface Random {
  /** Uniform in [0, below); below is at most 2^32. */
  int(below: number): number;
}

/** Structured log; `host` implements it with pino. Values in `fields` are plain data. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** One of the two halves; also a folder name in state-dir, a metric label and a log field. */
export type Role = 'agent' | 'dns-proxy';

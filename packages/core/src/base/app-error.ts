/**
 * An error that an operator can act on. Its code is the same word in the log field, the metric label, the gRPC
 * detail and the exit reason. Faults of the query path are values, not errors: throwing costs microseconds there.
 */
export type AppErrorCode =
  | 'USAGE' //             wrong flags or arguments
  | 'CONFIGURATION' //     a setting or manifest that cannot be used
  | 'UNAVAILABLE' //       a port, privilege or kernel feature that is not to be had
  | 'SNAPSHOT_REFUSED' //  a policy snapshot that does not fit its own hash or limits
  | 'LINK' //              the pair link broke or was refused
  | 'NOT_FOUND' //         the caller named something that does not exist
  | 'LIMIT'; //            a stated bound was reached

export interface AppErrorOptions {
  /** Facts for logs and machines; values are strings or numbers. */
  readonly details?: Readonly<Record<string, string | number>>;
  readonly cause?: unknown;
}

export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: AppErrorCode;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(code: AppErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Process exit codes of both daemons and the CLI (DESIGN §2; after sysexits.h). */
export const EXIT = { ok: 0, usage: 64, configuration: 65, unavailable: 69, invariant: 70 } as const;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof AppError)) return EXIT.invariant;
  switch (error.code) {
    case 'USAGE':
    case 'NOT_FOUND':
      return EXIT.usage;
    case 'CONFIGURATION':
    case 'SNAPSHOT_REFUSED':
      return EXIT.configuration;
    case 'UNAVAILABLE':
    case 'LINK':
    case 'LIMIT':
      return EXIT.unavailable;
  }
}

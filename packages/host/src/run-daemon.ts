/**
 * A daemon's outermost layer: settings in, signals and exit codes out. What runs inside is the caller's.
 */
import { AppError, type AppErrorCode, EXIT, exitCodeOf, type Log, type Role, type Settings } from '@tandem/core';
import { ensurePrivateDir } from './control/paths.js';
import { createLog } from './control/log.js';
import { loadSettings } from './control/settings-load.js';

export interface Running {
  /** Finishes what is under way and gives everything back. */
  stop(): Promise<void>;
  /** SIGHUP. */
  reload(): void;
}

export interface DaemonContext {
  readonly settings: Settings;
  readonly version: string;
  readonly log: Log;
  /** Ends the process: an invariant is broken. */
  readonly fail: (error: Error) => void;
}

export type StartDaemon = (context: DaemonContext) => Promise<Running>;

const LOGGED_CODE: AppErrorCode = 'UNAVAILABLE';

/** Runs until a signal or a fault; sets the process's exit code. */
export async function runDaemon(role: Role, version: string, start: StartDaemon): Promise<void> {
  const loaded = readSettings(role, version);
  if (loaded === null) return;
  const { settings, notices } = loaded;
  const log = createLog({ role, level: settings.logLevel, format: settings.logFormat });
  const exit = (code: number): never => {
    log.flush();
    process.exit(code);
  };
  const fail = (error: Error): void => {
    log.error('an invariant is broken; the peer goes on serving', { error });
    exit(EXIT.invariant);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', (reason) => {
    fail(reason instanceof Error ? reason : new Error(String(reason)));
  });
  for (const notice of notices) log.warn(notice);
  try {
    ensurePrivateDir(settings.runDir, '--run-dir');
    ensurePrivateDir(settings.stateDir, '--state-dir');
    const running = await start({ settings, version, log, fail });
    onSignals(log, running, exit);
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error), {
      code: error instanceof AppError ? error.code : LOGGED_CODE,
    });
    exit(error instanceof AppError ? exitCodeOf(error) : EXIT.invariant);
  }
}

function readSettings(role: Role, version: string): { settings: Settings; notices: readonly string[] } | null {
  try {
    const loaded = loadSettings({ role, version, argv: process.argv.slice(2), env: process.env });
    if (loaded.kind === 'settings') return loaded;
    process.stdout.write(loaded.text);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    // One line per complaint.
    for (const line of error.message.split('\n')) process.stderr.write(`tandem-${role}: ${line}\n`);
    process.exitCode = exitCodeOf(error);
  }
  return null;
}

function onSignals(log: Log, running: Running, exit: (code: number) => never): void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) exit(EXIT.ok);
    stopping = true;
    log.info('draining', { signal });
    running.stop().then(
      () => exit(EXIT.ok),
      (error: unknown) => {
        log.error('draining failed', { error: String(error) });
        exit(EXIT.invariant);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => {
    log.info('rereading the configuration');
    running.reload();
  });
}

/**
 * A daemon's outermost layer: settings in, signals and exit codes out. What runs inside is the caller's.
 *
 * Invariant: from the first line of `start` on, a signal to end is obeyed, and what was opened is closed before the end.
 */
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { AppError, EXIT, exitCodeOf, type Log, type Role, SETTINGS, type Settings } from '@tandem/core';
import { apiSocketPath, ensurePrivateDir } from './control/paths.js';
import { createLog, type DaemonLog, faultFields } from './control/log.js';
import { loadSettings } from './control/settings-load.js';

export interface Running {
  /** SIGHUP: rereads what may have changed. */
  reload(): void;
}

export interface DaemonContext {
  readonly settings: Settings;
  readonly version: string;
  readonly log: Log;
  /** Ends the process: an invariant is broken. */
  readonly fail: (error: Error) => void;
  /**
   * Closes something that was opened; the last opened goes first, one after another. Called once, also when the start
   * fails. Throws, and closes it at once, when the end has begun: the start then goes no further.
   */
  readonly onStop: (close: Closer) => void;
  /** Like `onStop`, but closed before all that is given there, whatever was opened later: a source of what the others work on. */
  readonly onStopFirst: (close: Closer) => void;
  /** A successor of this role has taken over: closes everything, and waits for the signal to end. */
  readonly onSucceeded: () => void;
}

export interface Ending {
  /**
   * SIGTERM: a peer that is just being replaced is waited for, so that somebody answers. SIGINT, and a start that failed: it is
   * not; both members end.
   */
  readonly awaitsPeer: boolean;
}

export type StartDaemon = (context: DaemonContext) => Promise<Running>;

/** Whether a successor answers on the API socket is looked for this often, and so many times in a row before it is taken for gone: a start takes a second. */
const SUCCESSOR_LOOK_MS = 1_000;
const SUCCESSOR_UNSEEN_MAX = 10;

type Closer = (ending: Ending) => void | Promise<void>;

/** Runs until a signal or a fault; sets the process's exit code. */
export async function runDaemon(role: Role, version: string, start: StartDaemon): Promise<void> {
  const load = (): ReturnType<typeof loadSettings> => loadSettings({ role, version, argv: process.argv.slice(2), env: process.env });
  const loaded = readSettings(role, load);
  if (loaded === null) return;
  const log = createLog({ role, level: loaded.settings.logLevel, format: loaded.settings.logFormat });
  const daemon = new Daemon(loaded.settings, version, log);
  daemon.install(() => {
    const next = load();
    return next.kind === 'settings' ? next.settings : null;
  });
  for (const notice of loaded.notices) log.warn(notice);
  await daemon.run(start);
}

/**
 * From now on the heap is collected before it grows, in all threads, so that a member keeps less resident. Not from its beginning on: to load
 * the modules makes much that is gone at once, and a start would take longer. The engine looks at this flag whenever it sizes a heap.
 */
function spareMemory(): void {
  setFlagsFromString('--optimize-for-size');
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once('connect', () => { settle(true); });
    socket.once('error', () => { settle(false); });
  });
}

function readSettings(role: Role, load: () => ReturnType<typeof loadSettings>): { settings: Settings; notices: readonly string[] } | null {
  try {
    const loaded = load();
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

class Daemon {
  private readonly settings: Settings;
  private readonly version: string;
  private readonly log: DaemonLog;
  private readonly closers: Closer[] = [];
  private readonly firstClosers: Closer[] = [];
  private running: Running | null = null;
  private isEnding = false;
  private isRetired = false;
  /** Under way, or done. */
  private closing: Promise<void> | null = null;
  /** A SIGHUP came before there was anything to reload. */
  private isReloadOwed = false;

  constructor(settings: Settings, version: string, log: DaemonLog) {
    this.settings = settings;
    this.version = version;
    this.log = log;
  }

  /** `reread`: the settings as they are written now; throws AppError where they cannot be used. */
  install(reread: () => Settings | null): void {
    process.on('uncaughtException', (error) => this.fail(error));
    process.on('unhandledRejection', (reason) => {
      this.fail(reason instanceof Error ? reason : new Error(String(reason)));
    });
    const end = (signal: NodeJS.Signals): void => this.end(signal);
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
    process.on('SIGHUP', () => this.reload(reread));
  }

  async run(start: StartDaemon): Promise<void> {
    const { settings, version, log } = this;
    try {
      ensurePrivateDir(settings.runDir, '--run-dir');
      ensurePrivateDir(settings.stateDir, '--state-dir');
      this.running = await start({
        settings, version, log, fail: (error) => this.fail(error), onSucceeded: () => this.retire(),
        onStop: (close) => this.onStop(this.closers, close), onStopFirst: (close) => this.onStop(this.firstClosers, close),
      });
      spareMemory();
      if (this.isReloadOwed) this.running.reload();
    } catch (error) {
      // Ended by a signal, or for a successor: what the start says of that is no news.
      if (this.isEnding || this.isRetired) return;
      this.isEnding = true;
      if (error instanceof AppError) log.error(error.message, { code: error.code });
      else log.error('the start failed', faultFields(error));
      await this.close({ awaitsPeer: false }).catch((failed: unknown) => { log.error('closing failed', faultFields(failed)); });
      this.exit(error instanceof AppError ? exitCodeOf(error) : EXIT.invariant);
    }
  }

  private onStop(closers: Closer[], close: Closer): void {
    if (this.closing === null && !this.isEnding) {
      closers.push(close);
      return;
    }
    Promise.resolve(close({ awaitsPeer: false })).catch(() => undefined);
    throw new AppError('UNAVAILABLE', 'the start was broken off');
  }

  private end(signal: NodeJS.Signals): void {
    if (this.isEnding) this.exit(EXIT.ok);
    this.isEnding = true;
    this.log.info('draining', { signal });
    this.close({ awaitsPeer: signal !== 'SIGINT' }).then(
      () => this.exit(EXIT.ok),
      (error: unknown) => {
        this.log.error('draining failed', faultFields(error));
        this.exit(EXIT.invariant);
      },
    );
  }

  /**
   * To exit would have the process started again, by whoever watches over it, and succeed its successor. Where that is gone, this is just what
   * is wanted.
   */
  private retire(): void {
    if (this.isEnding || this.isRetired) return;
    this.isRetired = true;
    this.log.info('a successor takes over; nothing is done here any more until SIGTERM');
    const { runDir, role } = this.settings;
    let unseen = 0;
    const alive = setInterval(() => {
      void isListening(apiSocketPath(runDir, role)).then((isThere) => {
        unseen = isThere ? 0 : unseen + 1;
        if (unseen < SUCCESSOR_UNSEEN_MAX || this.isEnding) return;
        clearInterval(alive);
        this.isEnding = true;
        this.log.warn('the successor is gone: this process ends, to be started again');
        // Not as after a signal: whoever watches over it may start again only what has failed.
        this.exit(EXIT.unavailable);
      });
    }, SUCCESSOR_LOOK_MS);
    this.close({ awaitsPeer: false }).catch((error: unknown) => {
      clearInterval(alive);
      this.fail(error instanceof Error ? error : new Error(String(error)));
    });
  }

  /** Whoever asks again waits for the same end: what is under way is not cut short. */
  private close(ending: Ending): Promise<void> {
    return (this.closing ??= this.closeAll(ending));
  }

  /** One that fails keeps none of the others from closing. */
  private async closeAll(ending: Ending): Promise<void> {
    const failed: unknown[] = [];
    for (const close of [...this.firstClosers, ...this.closers.reverse()]) {
      try {
        await close(ending);
      } catch (error) {
        failed.push(error);
      }
    }
    if (failed.length > 1) throw new AggregateError(failed, `${failed.length} things could not be closed`);
    if (failed.length === 1) throw failed[0];
  }

  private reload(reread: () => Settings | null): void {
    const { log } = this;
    log.info('rereading the configuration');
    try {
      const next = reread();
      if (next !== null) this.adopt(next);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      log.error('the configuration has errors; the one before stays', { reason: error.message });
    }
    if (this.running === null) this.isReloadOwed = true;
    else if (this.closing === null) this.running.reload();
  }

  private adopt(next: Settings): void {
    const { log } = this;
    log.setLevel(next.logLevel);
    const changed = SETTINGS.filter(({ field }) => (
      field !== undefined && field !== 'logLevel' && JSON.stringify(next[field]) !== JSON.stringify(this.settings[field])
    ));
    if (changed.length === 0) return;
    log.warn('some settings changed that need a restart', { settings: changed.map(({ name }) => `--${name}`) });
  }

  private fail(error: Error): void {
    this.log.error('an invariant is broken; the peer goes on serving', { error });
    this.exit(EXIT.invariant);
  }

  private exit(code: number): never {
    this.log.flush();
    process.exit(code);
  }
}

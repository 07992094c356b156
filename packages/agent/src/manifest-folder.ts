/**
 * The folder behind `--manifests`: read at the start and again on every change, with a look twice a second in case the
 * kernel's notices fail (network file systems, replaced folders). A change is reported within a second. A folder with any error
 * yields no objects, only problems: the caller keeps what it has. Reads happen one after another, never two at once.
 */
import { watch, type FSWatcher } from 'node:fs';
import type { PolicyObjects } from '@tandem/core';
import { manifestFingerprint, readManifestFolder } from '@tandem/host';
import { ManifestLoader, type Problem } from '@tandem/manifests';

export interface LoadedManifests {
  /** null: there is an error; the last good state stays. */
  readonly objects: PolicyObjects | null;
  /** All problems, warnings included. */
  readonly problems: readonly Problem[];
  /** What is said of other nodes' pods may be old: the source is away in part. */
  readonly isAway?: boolean;
}

export interface ManifestFolder {
  /** Reads again even where nothing seems changed (SIGHUP). */
  reload(): void;
  close(): void;
}

const POLL_MS = 500;
/** A writer that takes several steps is waited for: the folder must look the same twice, so far apart. */
const SETTLE_MS = 60;
/** But no longer than this, or a writer that never rests would keep a change from being seen. */
const SETTLE_MAX_MS = 300;

/** Calls back once soon after the start, and then after each change. An error thrown by the callback is nobody's: an unhandled rejection. */
export function watchManifestFolder(dir: string, onLoaded: (loaded: LoadedManifests) => void): ManifestFolder {
  const folder = new WatchedFolder(dir, onLoaded);
  folder.start();
  return folder;
}

/** Reads the folder once; files that `loader` knows are not parsed again. Never rejects. */
export async function loadManifestFolder(dir: string, loader = new ManifestLoader()): Promise<LoadedManifests> {
  const { files, complaints } = await readManifestFolder(dir);
  const loaded = loader.load(files);
  const unread = complaints.map(({ path, message, severity }): Problem => ({
    file: path, line: 0, column: 0, field: '', message, severity,
  }));
  const problems = [...unread, ...loaded.problems];
  if (files.length === 0 && problems.length === 0) {
    problems.push({ file: dir, line: 0, column: 0, field: '', message: 'no manifests here: every client is a stranger', severity: 'warning' });
  }
  return { objects: problems.some(({ severity }) => severity === 'error') ? null : loaded.objects, problems };
}

class WatchedFolder implements ManifestFolder {
  private readonly dir: string;
  private readonly onLoaded: (loaded: LoadedManifests) => void;
  private readonly loader = new ManifestLoader();
  /** Of what was last reported; null: nothing yet. */
  private reported: string | null = null;
  private watcher: FSWatcher | null = null;
  private timer: NodeJS.Timeout | null = null;
  private isBusy = false;
  private isAgain = false;
  /** Read even where nothing seems changed. */
  private isForced = false;
  private isClosed = false;

  constructor(dir: string, onLoaded: (loaded: LoadedManifests) => void) {
    this.dir = dir;
    this.onLoaded = onLoaded;
  }

  start(): void {
    this.look();
  }

  reload(): void {
    this.isForced = true;
    this.look();
  }

  close(): void {
    this.isClosed = true;
    this.watcher?.close();
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private look(): void {
    if (this.isBusy) {
      this.isAgain = true;
      return;
    }
    this.isBusy = true;
    void this.lookOnce().finally(() => {
      this.isBusy = false;
      if (this.isClosed) return;
      if (this.timer !== null) clearTimeout(this.timer);
      this.timer = setTimeout(() => { this.look(); }, this.isAgain ? 0 : POLL_MS);
      this.isAgain = false;
    });
  }

  private async lookOnce(): Promise<void> {
    this.ensureWatcher();
    let print = await manifestFingerprint(this.dir);
    if (print === this.reported && !this.isForced) return;
    this.isForced = false;
    print = await this.settled(print);
    const loaded = await loadManifestFolder(this.dir, this.loader);
    // What changed while it was read has a print of its own, and is read by the next look.
    this.reported = print;
    if (!this.isClosed) this.onLoaded(loaded);
  }

  /** The first reading does not wait: nobody is being served yet. */
  private async settled(print: string): Promise<string> {
    if (this.reported === null) return print;
    for (let waitedMs = 0; waitedMs < SETTLE_MAX_MS; waitedMs += SETTLE_MS) {
      await new Promise((resolve) => { setTimeout(resolve, SETTLE_MS); });
      const next = await manifestFingerprint(this.dir);
      if (next === print) return print;
      print = next;
    }
    return print;
  }

  /** A folder that is absent now is tried again by each look. */
  private ensureWatcher(): void {
    if (this.watcher !== null) return;
    try {
      const watcher = watch(this.dir, { persistent: false }, () => { this.look(); });
      const drop = (): void => {
        watcher.close();
        if (this.watcher === watcher) this.watcher = null;
      };
      watcher.on('error', drop);
      this.watcher = watcher;
    } catch {
      this.watcher = null;
    }
  }
}

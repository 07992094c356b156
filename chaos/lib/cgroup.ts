/**
 * A cgroup of the drill's own, in the unified hierarchy or in the older one with a tree per controller. Gone when the drill
 * ends. What differs between the two is only the names of files.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';
const V2_PERIOD_US = 100_000;
const PERCENT = 100;

export type Controller = 'cpu' | 'memory';

export class Cgroup {
  readonly folder: string;
  private readonly isUnified: boolean;
  private readonly parent: string;

  private constructor(parent: string, isUnified: boolean) {
    this.parent = parent;
    this.isUnified = isUnified;
    this.folder = join(parent, `tandem-drill-${String(process.pid)}`);
    mkdirSync(this.folder);
    process.once('exit', this.removeAtExit);
  }

  /** Why there is none to be had; null when there is. */
  static missing(controller: Controller): string | null {
    if (parentOf(controller) === null) return `needs the cgroup controller "${controller}", in the unified hierarchy (enabled in ${ROOT}/cgroup.subtree_control) or as ${ROOT}/${controller}`;
    return process.geteuid?.() === 0 ? null : `needs root, to make a cgroup below ${ROOT}; run it as root`;
  }

  /** @throws the system's error when it cannot be made. */
  static create(controller: Controller): Cgroup {
    const parent = parentOf(controller);
    if (parent === null) throw new Error(Cgroup.missing(controller) ?? '');
    return new Cgroup(parent.path, parent.isUnified);
  }

  get procs(): string {
    return join(this.folder, 'cgroup.procs');
  }

  add(pid: number): void {
    writeFileSync(this.procs, String(pid));
  }

  /** Of one processor. */
  limitCpu(percent: number): void {
    const quotaUs = V2_PERIOD_US * percent / PERCENT;
    if (this.isUnified) this.write('cpu.max', `${String(quotaUs)} ${String(V2_PERIOD_US)}`);
    else {
      this.write('cpu.cfs_period_us', String(V2_PERIOD_US));
      this.write('cpu.cfs_quota_us', String(quotaUs));
    }
  }

  unlimitCpu(): void {
    if (this.isUnified) this.write('cpu.max', `max ${String(V2_PERIOD_US)}`);
    else this.write('cpu.cfs_quota_us', '-1');
  }

  /** Periods in which its processes had to wait. */
  get throttled(): number {
    return Number(/^nr_throttled (\d+)$/m.exec(this.read('cpu.stat'))?.[1] ?? 0);
  }

  get memoryBytes(): number {
    return Number(this.read(this.isUnified ? 'memory.current' : 'memory.usage_in_bytes'));
  }

  limitMemory(bytes: number): void {
    this.write(this.isUnified ? 'memory.max' : 'memory.limit_in_bytes', String(bytes));
  }

  /** Processes killed for want of memory. */
  get oomKills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(this.read(this.isUnified ? 'memory.events' : 'memory.oom_control'))?.[1] ?? 0);
  }

  /** Its processes go back to where all are. */
  remove(): void {
    process.off('exit', this.removeAtExit);
    if (!existsSync(this.folder)) return;
    for (const pid of this.read('cgroup.procs').split('\n').filter((line) => line !== '')) writeFileSync(join(this.parent, 'cgroup.procs'), pid);
    rmdirSync(this.folder);
  }

  private removeAtExit = (): void => {
    try {
      this.remove();
    } catch {
      // A process that is just dying still counts: the empty cgroup then stays, which limits nobody.
    }
  };

  private write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text);
  }

  private read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8');
  }
}

function parentOf(controller: Controller): { readonly path: string; readonly isUnified: boolean } | null {
  const enabled = join(ROOT, 'cgroup.subtree_control');
  if (existsSync(enabled) && readFileSync(enabled, 'utf8').split(/\s+/).includes(controller)) return { path: ROOT, isUnified: true };
  const own = join(ROOT, controller);
  return existsSync(join(own, 'cgroup.procs')) ? { path: own, isUnified: false } : null;
}

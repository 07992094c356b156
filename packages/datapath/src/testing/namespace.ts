/** A network namespace of the test's own: what it does to links, routes and rules is gone with its process. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

const inside = 'TANDEM_DATAPATH_TEST_NAMESPACE';

/**
 * Starts this very process again in a new network namespace, where loopback is up and /sys shows its links, unless it is in one
 * already. To be called before anything else is done. Without root a user namespace comes with it.
 */
export function enterOwnNamespace(): void {
  if (process.env[inside] !== undefined) return;
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const script = 'ip link set lo up && mount -t sysfs sysfs /sys && exec "$0" "$@"';
  const again = ['sh', '-c', script, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  if (process.execve === undefined) throw new Error('this Node has no process.execve');
  process.execve('/usr/bin/unshare', ['unshare', '--net', '--mount', ...user, '--', ...again], { ...process.env, [inside]: '1' });
}

/** `ip` with a line of arguments; returns what it prints. */
export function ip(line: string): string {
  return execFileSync('ip', line.split(' '), { encoding: 'utf8' });
}

/** A child that holds another network namespace: its pid is the namespace's name for `ip link … netns`. */
export interface OtherNamespace {
  readonly pid: number;
  /** Runs `ip` in there. */
  ip(line: string): string;
  exec(program: string, ...args: readonly string[]): string;
  /** The namespace and all links in it go. */
  close(): void;
}

export async function otherNamespace(): Promise<OtherNamespace> {
  // The holder says when it is in its namespace, and goes when its input is closed.
  const child = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo ready; exec cat >/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const exec = (program: string, ...args: readonly string[]): string =>
    execFileSync('nsenter', ['--net', '-t', String(child.pid), '--', program, ...args], { encoding: 'utf8' });
  return {
    pid: child.pid!,
    exec,
    ip: (line) => exec('ip', ...line.split(' ')),
    close: () => {
      child.stdin.end();
    },
  };
}

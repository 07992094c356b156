/** A network namespace of the test's own: what it does to links, tables and connections is gone with its process. */
const inside = 'NODE_REUSEPORT_TEST_NAMESPACE';

/**
 * Starts this very process again in a new network namespace, where loopback is up, unless it is in one already. To be called
 * before anything else is done. Without root a user namespace comes with it.
 */
export function enterOwnNamespace(): void {
  if (process.env[inside] !== undefined) return;
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const script = 'ip link set lo up && exec "$0" "$@"';
  const again = ['sh', '-c', script, process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  if (process.execve === undefined) throw new Error('this Node has no process.execve');
  process.execve('/usr/bin/unshare', ['unshare', '--net', ...user, '--', ...again], { ...process.env, [inside]: '1' });
}

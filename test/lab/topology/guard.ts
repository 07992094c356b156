/**
 * Takes a lab away when the process that holds it ends in any way, SIGKILL included: a shell that reads from a pipe of ours until its end, and then
 * does what `npm run lab -- down` does. It is in a session of its own, so that Ctrl-C does not end it, too.
 */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, 'main.js');
/** A second time, for what a child of the process that ended may still have made. */
const SCRIPT = 'cat >/dev/null; "$0" "$1" down --name "$2"; sleep 1; "$0" "$1" down --name "$2"';

/** Returns what lets go of the lab: it stays as it is, then. */
export function guard(lab: string): () => void {
  const shell = spawn('env', ['-u', 'NODE_OPTIONS', 'sh', '-c', SCRIPT, process.execPath, MAIN, lab], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.unref();
  // The pipe does not keep the process alive either.
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  return () => {
    shell.kill('SIGKILL');
  };
}

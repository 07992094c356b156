/** Whose socket is that? Finds the process behind a Unix socket by what the kernel shows, also one that hangs and answers nothing. */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const LISTENING_FLAG = '00010000';
const PROCESSES_MAX = 100_000;

/** Null: nobody listens there, or it is another user's. The folder may be given by another path than the process has used for it. */
export async function listenerOf(socketPath: string): Promise<number | null> {
  const name = basename(socketPath);
  const bound = new Map((await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTENING_FLAG).map((fields) => [`socket:[${fields[6]}]`, fields.slice(7).join(' ')] as const)
    .filter(([, path]) => basename(path) === name));
  if (bound.size === 0) return null;
  const folder = await realFolder(socketPath);
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).slice(0, PROCESSES_MAX);
  for (const pid of pids) {
    for (const path of await heldBy(pid, bound)) {
      // As it was bound: perhaps relative to where the process is.
      if (folder !== null && await realFolder(path.startsWith('/') ? path : `/proc/${pid}/cwd/${path}`) === folder) return Number(pid);
    }
  }
  return null;
}

async function heldBy(pid: string, bound: ReadonlyMap<string, string>): Promise<string[]> {
  const folder = join('/proc', pid, 'fd');
  const names = await readdir(folder).catch(() => []);
  const paths = await Promise.all(names.map(async (name) => bound.get(await readlink(join(folder, name)).catch(() => ''))));
  return paths.filter((path) => path !== undefined);
}

function realFolder(path: string): Promise<string | null> {
  return realpath(dirname(path)).catch(() => null);
}

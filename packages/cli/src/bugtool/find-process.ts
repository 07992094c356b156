/** Whose socket is that? Finds the process behind a Unix socket by what the kernel shows, also one that hangs and answers nothing. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

const LISTENING_FLAG = '00010000';
const PROCESSES_MAX = 100_000;

/** Null: nobody listens there, or it is another user's. */
export async function listenerOf(socketPath: string): Promise<number | null> {
  const inodes = (await readFile('/proc/net/unix', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === LISTENING_FLAG && fields.slice(7).join(' ') === socketPath).map((fields) => `socket:[${fields[6]}]`);
  if (inodes.length === 0) return null;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).slice(0, PROCESSES_MAX);
  for (const pid of pids) if (await holds(pid, inodes)) return Number(pid);
  return null;
}

async function holds(pid: string, inodes: readonly string[]): Promise<boolean> {
  const folder = join('/proc', pid, 'fd');
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (inodes.includes(await readlink(join(folder, name)).catch(() => ''))) return true;
  return false;
}

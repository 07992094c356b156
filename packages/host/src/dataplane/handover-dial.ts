/**
 * The way to another member's handover socket, and how long its answer is waited for where nothing else is to be done.
 *
 * Invariant: what is given goes to a process of the same user only; a socket of another user's is as good as none.
 */
import { existsSync } from 'node:fs';
import type { Role } from '@tandem/core';
import { closeFd, connectUnix, peerCredentials } from 'node-reuseport';
import { handoverSocketPath } from './handover-messages.js';

/** At its start a member waits this long for a peer that is there but does not answer; then it goes on alone. */
export const PEER_ANSWER_MS = 500;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

export function peerOf(role: Role): Role {
  return role === 'agent' ? 'dns-proxy' : 'agent';
}

/** Between two looks at a socket, where nothing else is to be done. */
export function pause(): void {
  Atomics.wait(sleeper, 0, 0, 1);
}

/** A connection to the handover socket of the member with that role, of its worker with that number; null where nobody is there. */
export function dialHandover({ runDir, worker }: { readonly runDir: string; readonly worker: number }, role: Role, warn: (message: string) => void): number | null {
  const path = handoverSocketPath(runDir, role, worker);
  if (!existsSync(path)) return null;
  try {
    const fd = connectUnix(path);
    if (peerCredentials(fd).uid === process.geteuid!()) return fd;
    warn('the handover socket of the peer belongs to another user: not used');
    closeFd(fd);
  } catch {
    // Nobody listens there any more: we are alone for now.
  }
  return null;
}

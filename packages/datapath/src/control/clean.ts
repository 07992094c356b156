/**
 * Takes everything of Tandem's out of the kernel: tables, routing rules and routes, the pair of links. For who removes it from a node:
 * the daemons leave it there at their end, so that what was closed stays closed.
 *
 * Invariant: nothing is removed while a member leads, or could: one that answers takes a lead that is free. Marks on living connections stay; they mean nothing to others.
 */
import { statSync } from 'node:fs';
import { constants } from 'node:os';
import { AppError, type Role } from '@tandem/core';
import { closeFd, lockFile } from 'node-reuseport';
import { BRIDGE_TABLE, GUARD_TABLE, INPUT_TABLE, PORT_TABLE, TABLE } from '../names.js';
import { applyNft } from '../nft.js';
import { removeDivert, removeRedirect } from '../redirect/index.js';
import { lockPath } from './leadership.js';

const ROLES: readonly Role[] = ['agent', 'dns-proxy'];

/**
 * What was removed, one text each; empty: there was nothing. `isAnswered`: whether a process with this role answers on its API socket.
 * @throws AppError UNAVAILABLE: a member is still there, or it is not permitted.
 */
export async function cleanDatapath(runDir: string, isAnswered: (role: Role) => Promise<boolean>): Promise<readonly string[]> {
  const fd = holdLead(runDir);
  try {
    // With the lead held: who does not answer now has left it for good, or is yet to start.
    for (const role of ROLES) {
      if (await isAnswered(role)) throw new AppError('UNAVAILABLE', `${role} still answers, and would write the datapath again: stop both daemons first`);
    }
    const removed: string[] = [];
    for (const table of [BRIDGE_TABLE, PORT_TABLE, TABLE, INPUT_TABLE, GUARD_TABLE]) {
      if (await isDeleted(table)) removed.push(`table ${table.family} ${table.name}`);
    }
    removed.push(...await removeRedirect());
    if (await removeDivert()) removed.push('the pair of links tandem0 and tandem1');
    return removed;
  } finally {
    if (fd !== null) closeFd(fd);
  }
}

/** Null: there is no run-dir, and so nobody who leads. */
function holdLead(runDir: string): number | null {
  if (statSync(runDir, { throwIfNoEntry: false }) === undefined) return null;
  const fd = lockFile(lockPath(runDir));
  if (fd >= 0) return fd;
  if (fd !== -constants.errno.EAGAIN) throw new AppError('UNAVAILABLE', `${lockPath(runDir)} cannot be locked (errno ${-fd})`);
  throw new AppError('UNAVAILABLE', `a member still writes the datapath (${lockPath(runDir)} is locked): stop both daemons first`);
}

async function isDeleted(table: { readonly family: 'inet' | 'bridge' | 'netdev'; readonly name: string }): Promise<boolean> {
  try {
    await applyNft(`delete table ${table.family} ${table.name}\n`);
    return true;
  } catch (error) {
    // Its absence, or the family's, is what is wanted.
    if (error instanceof AppError && /No such file or directory|not supported/i.test(error.message)) return false;
    throw error;
  }
}

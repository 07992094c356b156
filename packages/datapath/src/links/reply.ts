/** What the kernel says no with, for people. */
import { getSystemErrorName } from 'node:util';
import type { NetlinkReply } from 'node-reuseport';

/** `EPERM (the kernel's own words)`. */
export function replyText({ errno, message }: Pick<NetlinkReply, 'errno' | 'message'>): string {
  return `${getSystemErrorName(-errno)}${message === '' ? '' : ` (${message})`}`;
}

/**
 * Whether addresses are open in the kernel's sets: by the word of the kernel, which has what both members opened, and not by what one of
 * them knows. For few elements, off the query path: each costs a question.
 */
import { AppError } from '@tandem/core';
import { NETLINK, netlinkExchange } from 'node-reuseport';
import { message, NLM_F, textBytes } from '../links/netlink-bytes.js';
import { replyText } from '../links/reply.js';
import { TABLE } from '../names.js';
import type { OpenElement } from './open-elements.js';

const GET_SET_ELEMENT = (10 << 8) | 13;
const INET = 1;
/** Of <linux/netfilter/nf_tables.h>: NFTA_SET_ELEM_LIST_…, NFTA_LIST_ELEM, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE. */
const LIST = { table: 1, set: 2, elements: 3 } as const;
const ITEM = 1;
const ELEMENT_KEY = 1;
const DATA_VALUE = 1;
const DEADLINE_MS = 2000;
const REPLY_BYTES_MAX = 64 * 1024;
/** The element is not there, or the set. */
const ENOENT = 2;

/** @throws AppError UNAVAILABLE: the kernel does not say. */
export async function isOpenInKernel({ set, key }: OpenElement): Promise<boolean> {
  const request = message(GET_SET_ELEMENT, { flags: NLM_F.ack, sequence: 1 }, Uint8Array.of(INET, 0, 0, 0), [
    [LIST.table, textBytes(TABLE.name)],
    [LIST.set, textBytes(set)],
    [LIST.elements, [[ITEM, [[ELEMENT_KEY, [[DATA_VALUE, key]]]]]]],
  ]);
  const reply = await netlinkExchange({ protocol: NETLINK.netfilter, request, deadlineMs: DEADLINE_MS, bytesMax: REPLY_BYTES_MAX });
  if (reply.errno !== 0 && reply.errno !== ENOENT) throw new AppError('UNAVAILABLE', `the kernel does not tell whether an address is open: ${replyText(reply)}`);
  return reply.errno === 0;
}

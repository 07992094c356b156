/**
 * The pair of links by which bridged pods' packets come to this node's routing: what a bridge port's chain sends into the inner one
 * arrives at the outer one, as from any link.
 *
 * Invariant: a link that has the name of one of the two and is not ours is never touched. The pair speaks no ARP and checks the way back
 * loosely, since pods' addresses lead to the bridge. Its outer end has an address that nobody uses: where rp_filter is on, be it the loose
 * one, the kernel takes no IPv4 packet from an interface that has none.
 * Does not know: which packets are sent there.
 */
import { AppError } from '@tandem/core';
import { NETLINK, netlinkExchange, type NetlinkReply } from 'node-reuseport';
import { attributeBytes, bytes32, joined, message, NLM_F, textBytes, type Attribute } from '../links/netlink-bytes.js';
import { replyText } from '../links/reply.js';
import { routeEvents, type Link } from '../links/route-messages.js';
import { DIVERT } from '../names.js';

const RTM = { newLink: 16, delLink: 17, getLink: 18, setLink: 19, newAddress: 20 } as const;
const LINK_BYTES = 16;
const IFLA = { name: 3, mtu: 4, info: 18, families: 26 } as const;
const INFO = { kind: 1, data: 2 } as const;
const VETH_PEER = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const INET_SETTINGS = 1;
const INET6_ADDRESS_MODE = 8;
const NO_ADDRESS_OF_ITS_OWN = 1;
/** Of linux/ip.h (IPV4_DEVCONF_…). */
const SETTING = { acceptRedirects: 4, sendRedirects: 6, reversePathFilter: 8 } as const;
const LOOSE = 2;
/** 192.0.0.8: the dummy address of RFC 7600, never a destination. */
const OUTER_ADDRESS = Uint8Array.of(192, 0, 0, 8);
const OUTER_PREFIX_LENGTH = 32;
const IFA = { address: 1, local: 2 } as const;
const SCOPE_LINK = 253;
const IFF = { up: 0x1, noArp: 0x80 } as const;
/** A veth's most: pods with jumbo frames must not lose packets here. */
const MTU_BYTES = 65535;
const DEADLINE_MS = 5000;
const REPLY_BYTES_MAX = 1 << 20;
const ERRNO = { EPERM: 1, ENODEV: 19, EEXIST: 17, EOPNOTSUPP: 95 } as const;

/** What a program needs to know of the pair. */
export interface Divert {
  /** Index of the link at which packets arrive. */
  readonly outer: number;
  /** Lower case with colons. */
  readonly outerMac: string;
  /** Index of the link that they are sent to. */
  readonly inner: number;
}

/** Creates the pair, or takes over the one of an earlier run, and has it up. @throws AppError UNAVAILABLE: no privilege, or the names are taken. */
export async function setUpDivert(): Promise<Divert> {
  if ((await linkNamed(DIVERT.outer)) === null && (await linkNamed(DIVERT.inner)) === null) await demand(createPair(), 'made');
  const outer = await linkNamed(DIVERT.outer);
  const inner = await linkNamed(DIVERT.inner);
  if (outer === null || inner === null || !arePair(outer, inner)) {
    const names = `${DIVERT.outer} and ${DIVERT.inner}`;
    throw new AppError('UNAVAILABLE', `bridged pods cannot be enforced: there is a link with the name of ${names} that is not one end of that pair; remove it by ip link del`);
  }
  for (const { index } of [outer, inner]) {
    await demand(settings(index), 'set up');
    // Without IPv6 there is nothing to set.
    await exchange(setLink(index, [[AF_INET6, [[INET6_ADDRESS_MODE, Uint8Array.of(NO_ADDRESS_OF_ITS_OWN)]]]]));
    await demand(raise(index), 'set up');
  }
  await demand(address(outer.index), 'set up');
  return { outer: outer.index, outerMac: outer.mac, inner: inner.index };
}

/** The pair as it is; null: it is not there, or not up. */
export function pairOf(outer: Link | null, inner: Link | null): Divert | null {
  if (outer === null || inner === null || !arePair(outer, inner) || !outer.isUp || !inner.isUp) return null;
  return { outer: outer.index, outerMac: outer.mac, inner: inner.index };
}

/** Whether there was one of ours. @throws AppError UNAVAILABLE without the privilege. */
export async function removeDivert(): Promise<boolean> {
  const [outer, inner] = [await linkNamed(DIVERT.outer), await linkNamed(DIVERT.inner)];
  if (outer === null || inner === null || !arePair(outer, inner)) return false;
  await demand(message(RTM.delLink, { flags: NLM_F.ack }, linkBody(outer.index)), 'removed');
  return true;
}

function arePair(one: Link, other: Link): boolean {
  return one.kind === 'veth' && other.kind === 'veth' && one.peer === other.index && other.peer === one.index;
}

function linkBody(index: number, flags: { readonly set: number; readonly mask: number } = { set: 0, mask: 0 }): Uint8Array {
  const body = new Uint8Array(LINK_BYTES);
  body.set(bytes32(index), 4);
  body.set(bytes32(flags.set), 8);
  body.set(bytes32(flags.mask), 12);
  return body;
}

function createPair(): Uint8Array {
  const peer = joined([linkBody(0), attributeBytes([[IFLA.name, textBytes(DIVERT.inner)], [IFLA.mtu, bytes32(MTU_BYTES)]])]);
  const info: Attribute[] = [[INFO.kind, textBytes('veth')], [INFO.data, [[VETH_PEER, peer]]]];
  return message(RTM.newLink, { flags: NLM_F.ack | NLM_F.create | NLM_F.excl, sequence: 1 }, linkBody(0), [
    [IFLA.name, textBytes(DIVERT.outer)],
    [IFLA.mtu, bytes32(MTU_BYTES)],
    [IFLA.info, info],
  ]);
}

/** Before it is up. */
function settings(index: number): Uint8Array {
  const values: Attribute[] = [
    [SETTING.reversePathFilter, bytes32(LOOSE)],
    [SETTING.sendRedirects, bytes32(0)],
    [SETTING.acceptRedirects, bytes32(0)],
  ];
  return setLink(index, [[AF_INET, [[INET_SETTINGS, values]]]]);
}

function setLink(index: number, families: readonly Attribute[]): Uint8Array {
  return message(RTM.setLink, { flags: NLM_F.ack }, linkBody(index), [[IFLA.families, families]]);
}

function address(index: number): Uint8Array {
  const body = joined([Uint8Array.of(AF_INET, OUTER_PREFIX_LENGTH, 0, SCOPE_LINK), bytes32(index)]);
  return message(RTM.newAddress, { flags: NLM_F.ack | NLM_F.create | NLM_F.excl }, body, [[IFA.local, OUTER_ADDRESS], [IFA.address, OUTER_ADDRESS]]);
}

function raise(index: number): Uint8Array {
  const flags = IFF.up | IFF.noArp;
  return message(RTM.setLink, { flags: NLM_F.ack }, linkBody(index, { set: flags, mask: flags }));
}

function exchange(request: Uint8Array): Promise<NetlinkReply> {
  return netlinkExchange({ protocol: NETLINK.route, request, deadlineMs: DEADLINE_MS, bytesMax: REPLY_BYTES_MAX });
}

async function linkNamed(name: string): Promise<Link | null> {
  const request = message(RTM.getLink, { flags: NLM_F.ack, sequence: 1 }, linkBody(0), [[IFLA.name, textBytes(name)]]);
  const reply = await exchange(request);
  if (reply.errno === ERRNO.ENODEV) return null;
  if (reply.errno !== 0) throw new AppError('UNAVAILABLE', `the kernel does not tell of the link ${name}: ${replyText(reply)}`);
  for (const event of routeEvents(reply.messages)) {
    if (event.kind === 'link') return event.link;
  }
  return null;
}

async function demand(request: Uint8Array, done: string): Promise<void> {
  const reply = await exchange(request);
  if (reply.errno === 0 || reply.errno === ERRNO.EEXIST) return;
  const remedy = reply.errno === ERRNO.EPERM ? 'CAP_NET_ADMIN is needed; run as root or give the capability'
    : reply.errno === ERRNO.EOPNOTSUPP ? 'this kernel has no veth; load its module' : replyText(reply);
  throw new AppError('UNAVAILABLE', `bridged pods cannot be enforced: the links ${DIVERT.outer} and ${DIVERT.inner} cannot be ${done}: ${remedy}`);
}

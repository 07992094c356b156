/**
 * The shared addresses' sockets: one UDP and one TCP socket per `--listen`, members of the SO_REUSEPORT group.
 *
 * Created unbound, so that the peer can hold them before the first packet arrives, or received back from the peer.
 */
import { fstatSync } from 'node:fs';
import { formatSocketAddress, type SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, isListening, listenersPerMember, listenSocket, localAddress, openSocket } from 'node-reuseport';
import { listenError } from './listen-error.js';
import { BURST_BUFFER_BYTES } from './receive-buffers.js';

export interface Listener {
  readonly udp: number;
  readonly tcp: number;
  readonly address: SocketAddress;
}

const LISTEN_BACKLOG = 1024;

export function isWildcard(address: SocketAddress): boolean {
  return address.address === '0.0.0.0' || address.address === '::';
}

/** Sockets for the address, not bound yet. `isTransparent`: redirected packets of any destination come to them. */
export function createListener(address: SocketAddress, isTransparent = false): Listener {
  const shared = {
    family: address.family,
    reusePort: true,
    // Where a query came in is only asked for where the address alone does not say it.
    packetInfo: isTransparent || isWildcard(address),
    ...(isTransparent ? { transparent: true } : {}),
    ...(address.family === 6 ? { v6Only: true } : {}),
  };
  const redirected = isTransparent ? { originalDestination: true, receiveMark: true } : {};
  const udp = openSocket({ type: 'udp', ...shared, ...redirected, receiveBufferBytes: BURST_BUFFER_BYTES });
  // A restart must not wait for the former owner's connections to leave TIME_WAIT.
  const tcp = openSocket({ type: 'tcp', ...shared, reuseAddress: true });
  return { udp, tcp, address };
}

/** Also one that somebody else has begun to bind: who shared it may have ended in between. @throws the system's error, naming the address and the remedy. */
export function bindListener(listener: Listener): Listener {
  const { udp, tcp, address } = listener;
  try {
    for (const fd of [udp, tcp]) if (localAddress(fd).port === 0) bindSocket(fd, address.address, address.port);
    if (!isListening(tcp)) listenSocket(tcp, LISTEN_BACKLOG);
  } catch (error) {
    throw listenError(address, error);
  }
  return { ...listener, address: localAddress(udp) };
}

export function closeListener(listener: Listener): void {
  closeFd(listener.udp);
  closeFd(listener.tcp);
}

/** Those of `listeners` whose sockets are among `others`, under whatever descriptors. */
export function sharedWith(listeners: readonly Listener[], others: readonly Listener[]): ReadonlySet<Listener> {
  const sockets = new Set(others.map(({ udp }) => fstatSync(udp).ino));
  return new Set(listeners.filter(({ udp }) => sockets.has(fstatSync(udp).ino)));
}

/** Those of `listeners` whose sockets are not among `known`; descriptors of the others are closed. */
export function withoutTwins(listeners: readonly Listener[], known: readonly Listener[]): readonly Listener[] {
  const twins = sharedWith(listeners, known);
  twins.forEach(closeListener);
  return listeners.filter((listener) => !twins.has(listener));
}

/** The addresses that none of the sockets is for. */
export function lackingOf(listeners: readonly Listener[], addresses: readonly SocketAddress[]): readonly SocketAddress[] {
  const texts = new Set(listeners.map(({ address }) => formatSocketAddress(address)));
  return addresses.filter((address) => !texts.has(formatSocketAddress(address)));
}

/** Whether a member can read these sockets, and a new one for each address that has none. */
export function fits(listeners: readonly Listener[], addresses: readonly SocketAddress[]): boolean {
  return listeners.length + lackingOf(listeners, addresses).length <= listenersPerMember;
}

/**
 * Of what another offers, the sockets for these addresses, as many as can be read. Descriptors of the others are closed: nobody would read
 * them here.
 */
export function wantedOf(offered: readonly Listener[], addresses: readonly SocketAddress[]): readonly Listener[] {
  const wanted = addresses.map(formatSocketAddress);
  const taken: Listener[] = [];
  for (const listener of offered) {
    if (wanted.includes(formatSocketAddress(listener.address)) && fits([...taken, listener], addresses)) taken.push(listener);
    else closeListener(listener);
  }
  return taken;
}

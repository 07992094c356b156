/**
 * The shared addresses' sockets: one UDP and one TCP socket per `--listen`, members of the SO_REUSEPORT group.
 *
 * Created unbound, so that the peer can hold them before the first packet arrives, or received back from the peer.
 */
import { fstatSync } from 'node:fs';
import { formatSocketAddress, type SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, listenersPerMember, listenSocket, localAddress, openSocket } from 'node-reuseport';
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

/** @throws the system's error, naming the address and the remedy. */
export function bindListener(listener: Listener): Listener {
  const { udp, tcp, address } = listener;
  try {
    bindSocket(udp, address.address, address.port);
    bindSocket(tcp, address.address, address.port);
    listenSocket(tcp, LISTEN_BACKLOG);
  } catch (error) {
    throw listenError(address, error);
  }
  return { ...listener, address: localAddress(udp) };
}

export function closeListener(listener: Listener): void {
  closeFd(listener.udp);
  closeFd(listener.tcp);
}

/** Those of `listeners` whose sockets are not among `known`; descriptors of the others are closed. */
export function withoutTwins(listeners: readonly Listener[], known: readonly Listener[]): readonly Listener[] {
  const sockets = new Set(known.map(({ udp }) => fstatSync(udp).ino));
  return listeners.filter((listener) => {
    const isNew = !sockets.has(fstatSync(listener.udp).ino);
    if (!isNew) closeListener(listener);
    return isNew;
  });
}

/** `texts` is `wanted`, or that several times over. */
export function isTimes(texts: readonly string[], wanted: readonly string[]): boolean {
  return texts.length > 0 && texts.length % wanted.length === 0 && texts.every((text, i) => text === wanted[i % wanted.length]);
}

/** A predecessor's sockets, if they are for the same addresses, as many as can be read; others are closed, for nobody would read them. */
export function legacyFor(addresses: readonly SocketAddress[], legacy: readonly Listener[] | null): readonly Listener[] | null {
  if (legacy === null) return null;
  const isWanted = isTimes(legacy.map(({ address }) => formatSocketAddress(address)), addresses.map(formatSocketAddress));
  const room = isWanted ? listenersPerMember : 0;
  legacy.slice(room).forEach(closeListener);
  return isWanted ? legacy.slice(0, room) : null;
}

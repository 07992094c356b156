/**
 * The shared addresses' sockets: one UDP and one TCP socket per `--listen`, members of the SO_REUSEPORT group.
 *
 * Created unbound, so that the peer can hold them before the first packet arrives, or received back from the peer.
 */
import type { SocketAddress } from '@tandem/core';
import { bindSocket, closeFd, listenSocket, localAddress, openSocket } from 'node-reuseport';
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

/** Whether an address can be had. The daemons share theirs, so a stranger who shares too would go unseen: looked at before. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { AppError, formatSocketAddress, type SocketAddress } from '@tandem/core';

/** @throws AppError UNAVAILABLE with a remedy. */
export async function requireFree(at: SocketAddress): Promise<void> {
  try {
    await bindUdp(at);
    await bindTcp(at);
  } catch (error) {
    throw new AppError('UNAVAILABLE', `--listen ${formatSocketAddress(at)}: ${remedy(error as NodeJS.ErrnoException)}`, { cause: error });
  }
}

function remedy(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return 'the port is taken; stop what listens there or choose another with --listen';
    case 'EACCES':
      return 'no permission for this port; choose one of 1024 or more with --listen';
    case 'EADDRNOTAVAIL':
      return 'this host has no such address; choose another with --listen';
    default:
      return error.message;
  }
}

function bindUdp(at: SocketAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(at.family === 4 ? 'udp4' : 'udp6');
    socket.once('error', reject);
    socket.bind({ address: at.address, port: at.port, exclusive: true }, () => { socket.close(resolve); });
  });
}

function bindTcp(at: SocketAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: at.address, port: at.port, exclusive: true }, () => { server.close(() => { resolve(); }); });
  });
}

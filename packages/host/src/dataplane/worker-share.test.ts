import t from 'tap';
import type { SocketAddress } from '@tandem/core';
import { settingsOf } from './testing/rig.js';
import { shareOf, slotsOf } from './worker-share.js';

const listen: readonly SocketAddress[] = [{ address: '127.0.0.1', family: 4, port: 5353 }];
const settings = { ...settingsOf('/nowhere', listen, []), slots: 1000, flowCapacity: 8191, tcpConnections: 100, tcpConnectionsPerClient: 10, concurrencyLimit: 0 };

t.test('one worker has all that the member has', (t) => {
  t.equal(shareOf(settings), settings);
  t.equal(slotsOf(settings), 1000);
  t.end();
});

t.test('several have equal shares, together no less than the member', (t) => {
  const limited = { ...settings, workers: 3, concurrencyLimit: 100 };
  t.match(shareOf(limited), { workers: 3, slots: 334, flowCapacity: 2731, tcpConnections: 34, tcpConnectionsPerClient: 4, concurrencyLimit: 34, upstreamPorts: limited.upstreamPorts });
  t.equal(slotsOf(limited), 1002);
  t.end();
});

t.test('no share is too small to work with, and no limit stays none', (t) => {
  const many = { ...settings, workers: 16 };
  t.match(shareOf(many), { slots: 64, flowCapacity: 1023, tcpConnections: 7, tcpConnectionsPerClient: 1, concurrencyLimit: 0 });
  t.end();
});

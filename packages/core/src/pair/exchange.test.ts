import t from 'tap';
import { monoMs } from '../base/seams.js';
import { FqdnCache, type Mapping } from '../fqdn/cache.js';
import { MappingExchange, MAPPINGS_PER_MESSAGE, MESSAGES_UNACKED_MAX } from './exchange.js';

function mapping(n: number): Mapping {
  const address = `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
  return { endpointUid: `uid-${n % 16}`, name: `n${n % 4999}.test.`, address, lookupMs: monoMs(n), ttlSeconds: 60, expiryMs: monoMs(n + 60_000) };
}

function cacheOf(count: number): FqdnCache {
  const cache = new FqdnCache({ maxAddressesPerName: 1000, matcher: () => () => true });
  for (let n = 0; n < count; n++) cache.merge(mapping(n));
  return cache;
}

/** A peer that merges what comes and acknowledges it at once. */
class Peer {
  readonly addresses = new Set<string>();
  sent = 0;

  take(exchange: MappingExchange): boolean {
    const message = exchange.next();
    if (message === null) return false;
    this.sent += message.mappings.length;
    for (const { address } of message.mappings) this.addresses.add(address);
    exchange.acknowledged(message.sequence);
    return true;
  }
}

t.test('everything goes once when the link comes up, then each change', (t) => {
  const cache = cacheOf(1000);
  const exchange = new MappingExchange(cache);
  const peer = new Peer();
  exchange.linkUp();
  while (peer.take(exchange));
  t.equal(peer.sent, 1000);
  exchange.offer(mapping(2000));
  while (peer.take(exchange));
  t.equal(peer.sent, 1001);
  t.equal(exchange.lag, 0);
  t.end();
});

t.test('a peer that does not acknowledge holds the sender back', (t) => {
  const exchange = new MappingExchange(cacheOf(20_000));
  exchange.linkUp();
  let messages = 0;
  while (exchange.next() !== null) messages++;
  t.equal(messages, MESSAGES_UNACKED_MAX);
  t.ok(exchange.lag >= 20_000);
  exchange.acknowledged(MESSAGES_UNACKED_MAX + 5);
  t.equal(exchange.next(), null, 'what was never sent is not acknowledged');
  exchange.acknowledged(1);
  t.equal(exchange.next()?.sequence, MESSAGES_UNACKED_MAX + 1);
  t.end();
});

t.test('a large cache and a steady flow of new mappings all arrive, and little is sent twice', (t) => {
  const cached = 50_000;
  const cache = cacheOf(cached);
  const exchange = new MappingExchange(cache);
  const peer = new Peer();
  exchange.linkUp();
  let n = cached;
  for (let turn = 0; turn < 400; turn++) {
    for (let i = 0; i < 200; i++, n++) {
      cache.merge(mapping(n));
      exchange.offer(mapping(n));
    }
    peer.take(exchange);
  }
  while (peer.take(exchange));
  t.equal(peer.addresses.size, n);
  t.equal(exchange.lag, 0);
  t.ok(peer.sent <= 1.2 * n, `${peer.sent} sent for ${n}`);
  t.end();
});

t.test('changes beyond the bound come with one more pass, after the one under way', (t) => {
  const cached = 50_000;
  const cache = cacheOf(cached);
  const exchange = new MappingExchange(cache);
  const peer = new Peer();
  exchange.linkUp();
  peer.take(exchange);
  const news = 60_000;
  for (let n = cached; n < cached + news; n++) {
    cache.merge(mapping(n));
    exchange.offer(mapping(n));
  }
  t.ok(exchange.lag >= news, 'what the pass to come owes is counted');
  let messages = 0;
  while (peer.take(exchange)) messages++;
  t.equal(peer.addresses.size, cached + news);
  t.ok(peer.sent <= cached + cached + news, `${peer.sent} sent`);
  t.ok(messages <= Math.ceil((2 * cached + news) / MAPPINGS_PER_MESSAGE) + 1);
  t.end();
});

t.test('a peer slower than the flow of news still gets every old mapping', (t) => {
  const cached = 30_000;
  const cache = cacheOf(cached);
  const exchange = new MappingExchange(cache);
  const peer = new Peer();
  exchange.linkUp();
  let n = cached;
  for (let turn = 0; turn < Math.ceil(cached / (MAPPINGS_PER_MESSAGE / 2)) + 1; turn++) {
    for (let i = 0; i < 2 * MAPPINGS_PER_MESSAGE; i++, n++) {
      cache.merge(mapping(n));
      exchange.offer(mapping(n));
    }
    peer.take(exchange);
  }
  let missing = 0;
  for (let old = 0; old < cached; old++) if (!peer.addresses.has(mapping(old).address)) missing++;
  t.equal(missing, 0);
  t.end();
});

import t from 'tap';
import { AppError } from '../base/app-error.js';
import { Allotter, allotmentOf, NO_ALLOTMENT, parseAllotment, type Allotment } from './allotment.js';
import { FIRST_CIDR_IDENTITY } from './snapshot.js';

t.test('fresh numbers go on where the last ones ended, and skip those that are known', (t) => {
  const before: Allotment = { ...NO_ALLOTMENT, endpoints: [{ owner: 'a', number: 65535, goneAt: 3 }, { owner: 'b', number: 1, goneAt: null }], nextEndpointId: 65534 };
  const allotter = new Allotter(before, 'endpoint');
  t.same([allotter.take('x'), allotter.take('y'), allotter.take('b'), allotter.take('x')], [65534, 2, 1, 65534]);
  t.same(allotter.finish(9), {
    entries: [
      { owner: 'b', number: 1, goneAt: null }, { owner: 'y', number: 2, goneAt: null },
      { owner: 'x', number: 65534, goneAt: null }, { owner: 'a', number: 65535, goneAt: 3 },
    ],
    next: 3,
  });
  t.end();
});

t.test('the longest gone are forgotten first', (t) => {
  const endpoints = Array.from({ length: 5000 }, (_, i) => ({ owner: `o${i}`, number: i + 1, goneAt: i }));
  const { entries } = new Allotter({ ...NO_ALLOTMENT, endpoints }, 'endpoint').finish(6000);
  t.equal(entries.length, 4096);
  t.equal(entries[0].owner, 'o904');
  t.end();
});

t.test('when all numbers are taken, the limit is named', (t) => {
  const allotter = new Allotter(NO_ALLOTMENT, 'endpoint');
  for (let i = 0; i < 65535; i++) allotter.take(`o${i}`);
  t.throws(() => allotter.take('one too many'), new AppError('LIMIT', 'all 65535 endpoint numbers are taken'));
  t.end();
});

t.test('a snapshot tells who has which number', (t) => {
  const endpoint = { uid: 'u', namespace: 'shop', pod: 'web', identity: 300, addresses: [], ruleSet: null };
  const identities = [{ identity: 1, labels: ['reserved:host='], addresses: [] }, { identity: 300, labels: ['k8s:a=b', 'k8s:c=d'], addresses: [] }];
  t.same(allotmentOf({ endpoints: [{ ...endpoint, id: 7 }], identities }), {
    endpoints: [{ owner: 'u', number: 7, goneAt: null }], identities: [{ owner: 'k8s:a=b;k8s:c=d', number: 300, goneAt: null }],
    cidrs: [], nextEndpointId: 8, nextIdentity: 301, nextCidr: 0x100_0000,
  });
  const cidrs = [{ identity: 0x100_0003, cidr: '10.0.0.0/8' }];
  t.match(allotmentOf({ endpoints: [], identities: [], cidrs }), { cidrs: [{ owner: '10.0.0.0/8', number: 0x100_0003, goneAt: null }], nextCidr: 0x100_0004 });
  t.equal(allotmentOf({ endpoints: [{ ...endpoint, id: 65535 }], identities: [] }).nextEndpointId, 1, 'after the highest comes the lowest');
  t.same(allotmentOf({ endpoints: [], identities: [] }), NO_ALLOTMENT);
  t.end();
});

t.test('an allotment read back from disk is whole, or it is none', (t) => {
  const good = { ...NO_ALLOTMENT, endpoints: [{ owner: 'a', number: 1, goneAt: null }], identities: [{ owner: 'k8s:a=b', number: 256, goneAt: 4 }] };
  t.same(parseAllotment(JSON.parse(JSON.stringify(good))), good);
  const bad: readonly unknown[] = [
    null, 'x', {}, { ...good, endpoints: 1 }, { ...good, nextEndpointId: 0 }, { ...good, nextIdentity: 255 },
    { ...good, endpoints: [{ owner: 'a', number: 0, goneAt: null }] }, { ...good, endpoints: [{ owner: 'a', number: 1 }] },
    { ...good, endpoints: [good.endpoints[0], good.endpoints[0]] }, { ...good, identities: [{ owner: 'a', number: 1, goneAt: null }] },
  ];
  for (const value of bad) t.equal(parseAllotment(value), null, JSON.stringify(value));
  const every = Array.from({ length: 0x10000 }, (_, i) => ({ owner: `p${i}`, number: FIRST_CIDR_IDENTITY + i, goneAt: null }));
  t.equal(parseAllotment({ ...good, cidrs: every })?.cidrs.length, 0x10000, 'every number may be taken');
  t.end();
});

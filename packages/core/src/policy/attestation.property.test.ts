import fc from 'fast-check';
import t from 'tap';
import { attest, type Place } from './attestation.js';
import type { EndpointLocation, EndpointRecord } from './snapshot.js';

const ADDRESSES = ['10.0.0.1', '10.0.0.2', 'fd00::1'];
const UIDS = ['a', 'b', 'c'];

const place: fc.Arbitrary<Place> = fc.oneof(
  fc.integer({ min: 1, max: 3 }).map((index) => ({ interface: index })),
  fc.record({ interface: fc.integer({ min: 4, max: 5 }), mac: fc.constantFrom('02:00:00:00:00:0a', '02:00:00:00:00:0b'), bridge: fc.constant(6) }),
);
const seen = fc.array(fc.tuple(fc.constantFrom(...ADDRESSES), fc.uniqueArray(place, { maxLength: 2, selector: (one) => JSON.stringify(one) })))
  .map((entries) => new Map(entries));
/** Who has which address: a source never names two owners of one. */
const source = fc.tuple(...ADDRESSES.map(() => fc.option(fc.constantFrom(...UIDS)))).map((owners) =>
  UIDS.map((uid): EndpointRecord => ({
    id: 1, uid, namespace: 'n', pod: uid, identity: 256, ruleSet: null, addresses: ADDRESSES.filter((_, i) => owners[i] === uid),
  })).filter(({ addresses }) => addresses.length > 0));
const history = fc.array(fc.record({ source, seen }), { minLength: 1, maxLength: 8 });

const BOOT = 'b';
const placesOf = (endpoints: readonly EndpointRecord[]): ReadonlyMap<string, EndpointLocation> =>
  new Map(endpoints.flatMap(({ uid, at }) => (at ?? []).map((one) => [`${uid} ${one.address}`, one])));
const samePlace = ({ interface: index, mac }: Place): string => `${index} ${mac}`;

/** Every step of the history, with the endpoints before and after it. */
function* walk(steps: readonly { readonly source: readonly EndpointRecord[]; readonly seen: ReadonlyMap<string, readonly Place[]> }[]) {
  let before: readonly EndpointRecord[] = [];
  for (const step of steps) {
    const { endpoints } = attest(step.source, { boot: BOOT, seen: step.seen, before: { boot: BOOT, endpoints: before } });
    yield { ...step, before, after: endpoints };
    before = endpoints;
  }
}

t.test('a place never moves while the source names its endpoint with the address, and is never given to a second one', (t) => {
  fc.assert(fc.property(history, (steps) => {
    for (const { source: named, before, after } of walk(steps)) {
      const [then, now] = [placesOf(before), placesOf(after)];
      for (const { uid, addresses } of named) {
        for (const address of addresses) {
          const pin = then.get(`${uid} ${address}`);
          if (pin !== undefined && JSON.stringify(now.get(`${uid} ${address}`)) !== JSON.stringify(pin)) throw new Error(`${uid} ${address} moved`);
        }
      }
      const owners = new Map<string, string>();
      for (const { uid, at = [] } of after) {
        for (const one of at) {
          if ((owners.get(samePlace(one)) ?? uid) !== uid) throw new Error(`${samePlace(one)} has two owners`);
          owners.set(samePlace(one), uid);
        }
      }
    }
  }), { numRuns: 2000 });
  t.pass();
  t.end();
});

t.test('a place that is new is the only one where its address is seen now, and nobody who is still named had it for the address', (t) => {
  fc.assert(fc.property(history, (steps) => {
    for (const { source: named, seen: now, before, after } of walk(steps)) {
      const then = placesOf(before);
      for (const { uid, at = [] } of after) {
        for (const one of at) {
          if (then.has(`${uid} ${one.address}`)) continue;
          const places = now.get(one.address) ?? [];
          if (places.length !== 1 || samePlace(places[0]) !== samePlace(one)) throw new Error('a place where nothing is seen');
          const heir = before.find((other) => other.uid !== uid && other.at?.some((old) => samePlace(old) === samePlace(one)));
          const stillThere = named.find((other) => other.uid === heir?.uid)?.addresses.some((address) => then.has(`${heir!.uid} ${address}`) && samePlace(then.get(`${heir!.uid} ${address}`)!) === samePlace(one));
          if (stillThere === true) throw new Error('the place of one that is there');
        }
      }
    }
  }), { numRuns: 2000 });
  t.pass();
  t.end();
});

t.test('the order in which endpoints and sightings come changes nothing', (t) => {
  const shuffled = history.chain((steps) => fc.tuple(fc.constant(steps), fc.tuple(...steps.map((step) => fc.record({
    source: fc.shuffledSubarray(step.source, { minLength: step.source.length }),
    seen: fc.shuffledSubarray([...step.seen], { minLength: step.seen.size }).map((entries) => new Map(entries)),
  })))));
  fc.assert(fc.property(shuffled, ([steps, others]) => {
    const [one, two] = [[...walk(steps)], [...walk(others)]];
    one.forEach(({ after }, i) => {
      const other = two[i].after;
      for (const endpoint of after) {
        if (JSON.stringify(other.find(({ uid }) => uid === endpoint.uid)) !== JSON.stringify(endpoint)) throw new Error('the order was seen');
      }
    });
  }), { numRuns: 1000 });
  t.pass();
  t.end();
});

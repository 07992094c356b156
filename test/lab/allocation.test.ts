/**
 * The data plane's thread allocates nothing for a query by UDP whose name is known: what it collects in a million of them is the turns'
 * own few bytes, one to three collections of a megabyte. One number that is handed over as a fraction, 16 bytes a query, would be sixteen.
 */
import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { baseManifests, CLIENT_A, dnsPolicy } from '../harness/manifests.js';
import { generate, startNative } from '../harness/native.js';
import { formatServer, Pair } from '../harness/pair.js';

const WARM_UP_QUERIES = 500_000;
const QUERIES = 1_000_000;
const COLLECTIONS_MAX = 4;
/** Of the control thread, which has other things to do; where each hundredth answer is learned again it is dozens. */
const CONTROL_COLLECTIONS_MAX = 10;

t.setTimeout(300_000);

t.test('a million queries in steady state', async (t) => {
  const upstream = await startNative('upstream', ['--listen', `${ownAddress}:0`]);
  t.teardown(() => upstream.child.stop());
  const manifests = { ...baseManifests(ownAddress), 'policy-a.json': dnsPolicy('policy-a', { app: 'a' }, ['*.bench.test'], ['*.bench.test']) };
  const pair = await Pair.start({
    upstreams: [{ address: ownAddress, port: upstream.port }], manifests, roles: ['agent'], environment: { TANDEM_NODE_FLAGS: '--trace-gc' },
  });
  t.teardown(() => pair.stop());
  // V8 says of each collection whose heap it was. The control thread's are far more while names are learned: it keeps them.
  const collections = (): string[] => [...pair.member('agent').output.matchAll(/:(0x[0-9a-f]+)\].*\b(?:Scavenge|Mark-Compact)\b/g)].map(([, heap]) => heap);
  const load = async (count: number): Promise<void> => {
    t.match(await generate(['--server', formatServer(pair.server), '--bind', CLIENT_A, '--window', '256', '--count', String(count)]), { answered: count, lost: 0, wrong: 0 });
  };

  await load(WARM_UP_QUERIES);
  const before = collections();
  const heaps = [...Map.groupBy(before, (heap) => heap)].sort(([, a], [, b]) => b.length - a.length).map(([heap]) => heap);
  t.equal(heaps.length, 2, 'the control thread and the data plane');
  t.ok(before.filter((heap) => heap === heaps[0]).length > COLLECTIONS_MAX, 'the control thread collects, and is seen to');
  await load(QUERIES);
  const since = collections().slice(before.length);
  const [ofControl, ofDataPlane] = heaps.map((heap) => since.filter((one) => one === heap).length);
  t.comment(`collections in ${String(QUERIES)} queries: data plane ${String(ofDataPlane)}, control thread ${String(ofControl)}`);
  t.ok(ofControl <= CONTROL_COLLECTIONS_MAX, `${String(ofControl)} of the control thread: nothing is learned twice`);
  t.ok(ofDataPlane <= COLLECTIONS_MAX, `${String(ofDataPlane)} of the data plane`);
});

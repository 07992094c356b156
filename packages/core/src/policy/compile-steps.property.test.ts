import fc from 'fast-check';
import t from 'tap';
import { compileSnapshot, SnapshotCompiler, type CompileOptions } from './compile.js';
import { NO_ALLOTMENT, type Allotment } from './allotment.js';
import { ANY_PEER, NO_EXTENSIONS, NO_OBJECTS, NOTHING_SAID, type PolicyObject, type PolicyObjects } from './objects.js';
import type { World } from './testing/reference.js';
import { worlds } from './testing/worlds.js';

const RUNS = 200;
const STEPS = 8;

/** What one step brings: lists of another world, or policies that come and go. Whatever it does not name stays the same objects. */
interface Step {
  readonly other: World;
  readonly parts: readonly (Exclude<keyof PolicyObjects, 'policies'> | 'mode')[];
  /** Of all policies of all worlds so far: which are there. */
  readonly present: readonly boolean[];
  /** The allotment of the compile before is handed on, as the agent does; read back from disk; or lost with it. */
  readonly allotment: 'kept' | 'copied' | 'lost';
}

const runsAsked = Number(process.argv[2] ?? RUNS);
if (runsAsked > RUNS) t.setTimeout(0);

const steps = fc.array(
  fc.record({
    other: worlds,
    parts: fc.subarray(['pods', 'namespaces', 'services', 'endpointSlices', 'mode'] as const, { maxLength: 2 }),
    present: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
    allotment: fc.constantFrom('kept', 'kept', 'kept', 'kept', 'copied', 'lost'),
  }),
  { minLength: STEPS, maxLength: STEPS, size: 'max' },
);

t.test('what was compiled before changes nothing in what is compiled now', (t) => {
  fc.assert(
    fc.property(worlds, worlds, steps, (first, second, changes) => {
      const compiler = new SnapshotCompiler();
      // Policies of one namespace and name do not come twice.
      const pool = [first, second].flatMap(({ objects }, world) => objects.policies.map((one): PolicyObject => ({ ...one, name: `${one.name}-${world}` })));
      let world = first;
      let allotment: Allotment | null = null;
      changes.forEach((step, revision) => {
        world = next(world, step, pool);
        const given: Allotment | null = step.allotment === 'lost' ? NO_ALLOTMENT : step.allotment === 'copied' && allotment !== null ? { ...allotment } : allotment;
        const options: CompileOptions = { nodeName: world.nodeName, enablePolicy: world.mode, allotment: given, revision: revision + 1 };
        const kept = compiler.compile(world.objects, options);
        const fresh = compileSnapshot(world.objects, options);
        if (JSON.stringify(kept.snapshot) !== JSON.stringify(fresh.snapshot)) throw new Error(`snapshots differ in step ${revision}`);
        if (kept.notices.join() !== fresh.notices.join()) throw new Error(`notices differ in step ${revision}`);
        if (JSON.stringify(kept.allotment) !== JSON.stringify(fresh.allotment)) throw new Error(`allotments differ in step ${revision}`);
        allotment = kept.allotment;
      });
    }),
    { numRuns: runsAsked },
  );
  t.pass();
  t.end();
});

function next(world: World, { other, parts, present }: Step, pool: readonly PolicyObject[]): World {
  const objects = { ...world.objects, policies: pool.filter((_, i) => present[i % present.length]) };
  const taken = Object.fromEntries(parts.flatMap((part) => (part === 'mode' ? [] : [[part, other.objects[part]]])));
  return { ...world, mode: parts.includes('mode') ? other.mode : world.mode, objects: { ...objects, ...taken } };
}

t.test('the backends that a Service has had when its policy was last there are forgotten', (t) => {
  const slice = (address: string) => ({ namespace: 'one', name: 'out-a', serviceName: 'out', addresses: [address], ports: [] });
  const toService: PolicyObject = {
    kind: 'CiliumNetworkPolicy', namespace: 'one', name: 'p', extensions: NO_EXTENSIONS,
    specs: [{
      path: 'spec', endpointSelector: { matchLabels: {}, matchExpressions: [] }, ingress: NOTHING_SAID,
      egress: { allow: [{ ...ANY_PEER, services: [{ namespace: 'one', name: 'out', selector: null }] }], deny: null, defaultDeny: null },
    }],
  };
  const services = [{ namespace: 'one', name: 'out', labels: {}, addresses: [], ports: [], selector: null }];
  const before = { ...NO_OBJECTS, services, endpointSlices: [slice('203.0.113.1')], policies: [toService] };
  const after = { ...before, endpointSlices: [slice('203.0.113.2')] };
  const compiler = new SnapshotCompiler();
  let allotment: Allotment | null = null;
  const compiled = (objects: PolicyObjects) => {
    const result = compiler.compile(objects, { nodeName: 'n', enablePolicy: 'default', allotment, revision: 1 });
    allotment = result.allotment;
    return result.snapshot.cidrs?.map(({ cidr }) => cidr);
  };
  t.same(compiled(before), ['203.0.113.1/32']);
  t.same(compiled({ ...after, policies: [] }), undefined);
  t.same(compiled(after), ['203.0.113.2/32']);
  t.end();
});

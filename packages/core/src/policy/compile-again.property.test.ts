import fc from 'fast-check';
import t from 'tap';
import type { Allotment } from './allotment.js';
import { compileSnapshot, SnapshotCompiler } from './compile.js';
import type { PolicyObjects } from './objects.js';
import { worlds } from './testing/worlds.js';

/** What an edit takes over from the other world; the rest stays the same objects. */
const edit = fc.record({
  policies: fc.array(fc.nat(5), { maxLength: 2 }),
  dropped: fc.option(fc.nat(5), { freq: 3 }),
  lists: fc.constantFrom<readonly ('pods' | 'namespaces' | 'services' | 'endpointSlices')[]>([], [], [], ['pods'], ['services', 'endpointSlices'], ['namespaces']),
  isForgotten: fc.boolean(),
});

function edited(objects: PolicyObjects, other: PolicyObjects, { policies, dropped, lists }: { policies: readonly number[]; dropped: number | null; lists: readonly (keyof PolicyObjects)[] }): PolicyObjects {
  const taken = policies.flatMap((at) => other.policies[at] ?? []);
  const isTaken = (name: string, namespace: string): boolean => taken.some((one) => one.name === name && one.namespace === namespace);
  const kept = objects.policies.filter(({ name, namespace }, i) => i !== dropped && !isTaken(name, namespace));
  return { ...objects, ...Object.fromEntries(lists.map((list) => [list, other[list]])), policies: [...kept, ...new Set(taken)] };
}

t.test('a compiler that has compiled before gives what a new one gives', (t) => {
  fc.assert(fc.property(worlds, worlds, fc.array(edit, { maxLength: 6 }), (world, other, edits) => {
    const compiler = new SnapshotCompiler();
    let { objects } = world;
    let allotment: Allotment | null = null;
    let revision = 1;
    for (const one of [null, ...edits]) {
      if (one !== null) objects = edited(objects, other.objects, one);
      const options = { nodeName: world.nodeName, enablePolicy: world.mode, allotment, revision: revision++ };
      const again = compiler.compile(objects, options);
      const anew = compileSnapshot(objects, options);
      if (again.snapshot.hash !== anew.snapshot.hash) throw new Error('another hash');
      if (JSON.stringify(again.snapshot) !== JSON.stringify(anew.snapshot)) throw new Error('another snapshot');
      if (JSON.stringify(again.notices) !== JSON.stringify(anew.notices)) throw new Error('other notices');
      if (JSON.stringify({ ...again.allotment }) !== JSON.stringify({ ...anew.allotment })) throw new Error('another allotment');
      // An agent whose disk failed starts from other numbers.
      allotment = one?.isForgotten === true ? { ...anew.allotment } : again.allotment;
    }
  }), { numRuns: 400 });
  t.pass();
  t.end();
});

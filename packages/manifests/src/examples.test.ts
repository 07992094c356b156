import { readFileSync, readdirSync } from 'node:fs';
import t from 'tap';
import { NO_EXTENSIONS, compileSnapshot, type PolicyObjects } from '@tandem/core';
import { loadManifests } from './load.js';
import { formatProblem } from './problem.js';

const FOLDER = new URL('../../../examples/policies/', import.meta.url);
const INDEX = new URL('../../../examples/README.md', import.meta.url);
const PAGE = new URL('../../../docs/reference/policy.md', import.meta.url);
const CLUSTER = 'cluster.yaml';
const ANNOTATION_OF: Readonly<Record<keyof typeof NO_EXTENSIONS, string>> = {
  queryTypes: 'query-types', denyFqdns: 'deny-fqdns', grantScope: 'grant-scope', queryRate: 'query-rate', labelEntropyBits: 'label-entropy',
  limitAction: 'limit-action', privateNames: 'private-addresses',
};
const names = readdirSync(FOLDER).sort();

const load = (...files: readonly string[]) => loadManifests(files.map((path) => ({ path, text: readFileSync(new URL(path, FOLDER), 'utf8') })));
const compile = (objects: PolicyObjects) => compileSnapshot(objects, { nodeName: 'here', enablePolicy: 'default', allotment: null, revision: 1 });

t.test('each example loads and compiles without a complaint, and selects somebody', (t) => {
  t.ok(names.length > 15, 'the examples are found');
  for (const name of names.filter((one) => one !== CLUSTER)) {
    const { objects, problems } = load(CLUSTER, name);
    t.same(problems.map(formatProblem), [], name);
    if (objects === null) continue;
    t.ok(objects.policies.length > 0, `${name} has a policy`);
    t.same(compile(objects).notices, [], name);
  }
  t.end();
});

t.test('all of them together are one policy, as a folder of manifests', (t) => {
  const { objects, problems } = load(...names);
  t.same(problems.map(formatProblem), []);
  const { snapshot, notices } = compile(objects!);
  t.same(notices, []);
  t.equal(snapshot.policies.length, objects?.policies.length);
  t.same(snapshot.policies.flatMap(({ name, specs }) => specs.filter(({ endpoints }) => endpoints.length === 0).map(({ path }) => `${name} ${path}`)), []);
  t.end();
});

t.test('the examples show every part of the language', (t) => {
  const objects = load(...names).objects!;
  const specs = objects.policies.flatMap((policy) => policy.specs);
  const rules = specs.flatMap(({ egress, ingress }) => [egress, ingress].flatMap(({ allow, deny }) => [...(allow ?? []), ...(deny ?? [])]));
  for (const part of ['endpoints', 'cidrs', 'entities', 'services', 'fqdns', 'ports'] as const) {
    t.ok(rules.some((rule) => rule[part] !== null), part);
  }
  for (const section of ['allow', 'deny', 'defaultDeny'] as const) {
    for (const direction of ['egress', 'ingress'] as const) t.ok(specs.some((spec) => spec[direction][section] !== null), `${direction} ${section}`);
  }
  for (const key of Object.keys(NO_EXTENSIONS) as (keyof typeof NO_EXTENSIONS)[]) {
    t.ok(objects.policies.some(({ extensions }) => extensions[key] !== null), key);
  }
  t.same([...new Set(objects.policies.map(({ kind }) => kind))].sort(), ['CiliumClusterwideNetworkPolicy', 'CiliumNetworkPolicy', 'NetworkPolicy']);
  t.end();
});

t.test('the page on the language names each extension, and what it shows loads', (t) => {
  const page = readFileSync(PAGE, 'utf8');
  const blocks = page.split('```yaml\n').slice(1).map((part) => part.slice(0, part.indexOf('```')));
  t.ok(blocks.length > 0, 'the examples are found');
  for (const text of blocks) t.same(loadManifests([{ path: 'page.yaml', text }]).problems.map(formatProblem), []);
  for (const key of Object.keys(ANNOTATION_OF)) t.ok(page.includes(`| \`tandem.dev/${ANNOTATION_OF[key as keyof typeof NO_EXTENSIONS]}\` |`), key);
  t.end();
});

t.test('each example says what it does, and stands in the list of examples', (t) => {
  const index = readFileSync(INDEX, 'utf8');
  for (const name of names) {
    t.match(readFileSync(new URL(name, FOLDER), 'utf8'), /^# [A-Z]/, `${name} begins with a comment`);
    t.ok(index.includes(`(policies/${name})`), `${name} is listed`);
  }
  t.end();
});

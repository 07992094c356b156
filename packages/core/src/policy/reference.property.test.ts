/** Run with more worlds: npm run policy:long. */
import fc from 'fast-check';
import t from 'tap';
import { compileSnapshot } from './compile.js';
import { PolicyIndex } from './decide.js';
import type { DirectionSpec, LabelSelector, PolicyObject, PolicySpec, PortSpec, RuleSpec } from './objects.js';
import { judgeConnection, judgeQuestion, type Connection, type Question, type World } from './testing/reference.js';
import { connections, questions, worlds } from './testing/worlds.js';
import { trace } from './trace.js';
import { traceConnection } from './trace-connection.js';

const WORLDS = 2000;
const QUESTIONS = 20;
const CONNECTIONS = 20;
/** Every verdict has to come often, or the worlds are dull. */
const SHARE_MIN = 0.04;
/** A planted mistake must be found within so many worlds. */
const MISTAKE_WORLDS = 10_000;

const worldsAsked = Number(process.argv[2] ?? WORLDS);
if (worldsAsked > WORLDS) t.setTimeout(0);
const cases = fc.tuple(
  worlds,
  fc.array(questions, { minLength: QUESTIONS, maxLength: QUESTIONS, size: 'max' }),
  fc.array(connections, { minLength: CONNECTIONS, maxLength: CONNECTIONS, size: 'max' }),
);

class Disagreement extends Error {}

/** Handed on from world to world, as from snapshot to snapshot: what it keeps must not leak into the next. */
let index: PolicyIndex | null = null;

t.test('policy decides as a plain reading of its objects does', (t) => {
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(cases, ([world, asked, made]) => {
      compare({ compiled: world, read: world, asked, made }, (what) => seen.set(what, (seen.get(what) ?? 0) + 1));
    }),
    { numRuns: worldsAsked },
  );
  const total = worldsAsked * QUESTIONS;
  for (const what of ['question allowed', 'question refused', 'egress allowed', 'egress denied', 'ingress allowed', 'ingress denied']) {
    t.ok((seen.get(what) ?? 0) > total * SHARE_MIN, `${what}: ${String(seen.get(what))} of ${String(total)}`);
  }
  t.end();
});

interface Comparison {
  readonly compiled: World;
  /** What the reference is given: the same, or a world read wrongly. */
  readonly read: World;
  readonly asked: readonly Question[];
  readonly made: readonly Connection[];
}

function compare({ compiled, read, asked, made }: Comparison, see: (what: string) => void): void {
  const { objects, nodeName, mode } = compiled;
  const { snapshot } = compileSnapshot(objects, { nodeName, enablePolicy: mode, allotment: null, revision: 1 });
  index = PolicyIndex.build(snapshot, index);
  for (const question of asked) {
    const expected = judgeQuestion(read, question);
    same(trace(index, question).verdict, expected, question);
    see(`question ${expected}`);
  }
  for (const connection of made) {
    const expected = judgeConnection(read, connection);
    const told = traceConnection(index, connection);
    same(told.egress.verdict, expected.egress, { egress: connection });
    same(told.ingress.verdict, expected.ingress, { ingress: connection });
    same(told.verdict, expected.egress === 'allowed' && expected.ingress === 'allowed' ? 'allowed' : 'denied', connection);
    see(`egress ${expected.egress}`);
    see(`ingress ${expected.ingress}`);
  }
}

function same(told: string, expected: string, what: object): void {
  if (told !== expected) throw new Disagreement(`${JSON.stringify(what)}: ${told}, expected ${expected}`);
}

type Mistake = (world: World) => World;

function inPolicies(change: (policy: PolicyObject) => PolicyObject): Mistake {
  return (world) => ({ ...world, objects: { ...world.objects, policies: world.objects.policies.map(change) } });
}

function inSpecs(change: (spec: PolicySpec) => PolicySpec): Mistake {
  return inPolicies((policy) => ({ ...policy, specs: policy.specs.map(change) }));
}

function inDirections(change: (direction: DirectionSpec) => DirectionSpec): Mistake {
  return inSpecs((spec) => ({ ...spec, egress: change(spec.egress), ingress: change(spec.ingress) }));
}

function inRules(change: (rule: RuleSpec) => RuleSpec): Mistake {
  return inDirections((one) => ({ ...one, allow: one.allow?.map(change) ?? null, deny: one.deny?.map(change) ?? null }));
}

function inPorts(change: (ports: PortSpec) => PortSpec): Mistake {
  return inRules((rule) => ({ ...rule, ports: rule.ports?.map(change) ?? null }));
}

function inPeers(change: (selector: LabelSelector) => LabelSelector): Mistake {
  return inRules((rule) => ({ ...rule, endpoints: rule.endpoints?.map(change) ?? null }));
}

const MISTAKES: Readonly<Record<string, Mistake>> = {
  'rules that deny do nothing': inDirections((one) => ({ ...one, deny: one.deny === null ? null : [] })),
  'rules that deny allow': inDirections((one) => (one.deny === null ? one : { ...one, allow: [...(one.allow ?? []), ...one.deny], deny: [] })),
  'enableDefaultDeny is not read': inDirections((one) => ({ ...one, defaultDeny: null })),
  'an empty section closes nothing': inDirections((one) => (one.allow?.length === 0 ? { ...one, allow: null } : one)),
  'exceptions of prefixes are ignored': inRules((rule) => ({ ...rule, cidrs: rule.cidrs?.map((one) => ({ ...one, except: [] })) ?? null })),
  'prefixes select nobody': inRules((rule) => ({ ...rule, cidrs: rule.cidrs === null ? null : [] })),
  'an empty list of peers is none': inRules((rule) => (rule.endpoints?.length === 0 ? { ...rule, endpoints: null } : rule)),
  'peers are not confined to the namespace': inPeers((one) => ({
    ...one, matchExpressions: [...one.matchExpressions, { key: 'k8s:io.kubernetes.pod.namespace', operator: 'Exists', values: [] }],
  })),
  'expressions are not read': inPeers((one) => ({ ...one, matchExpressions: [] })),
  'entities select nobody': inRules((rule) => ({ ...rule, entities: rule.entities === null ? null : [] })),
  'services select nobody': inRules((rule) => ({ ...rule, services: rule.services === null ? null : [] })),
  'names select nobody': inRules((rule) => ({ ...rule, fqdns: rule.fqdns === null ? null : [] })),
  'protocols are ignored': inPorts((one) => ({ ...one, ports: one.ports.map((port) => ({ ...port, protocol: null })) })),
  'named ports cover nothing': inPorts((one) => ({ ...one, ports: one.ports.filter((port) => 'first' in port) })),
  'any name may be asked': inPorts((one) => ({ ...one, dns: null })),
  'a wildcard spans labels': inPorts((one) => ({
    ...one, dns: one.dns?.map((name) => ({ ...name, matchPattern: name.matchPattern?.replace(/^\*\./, '**.') ?? null })) ?? null,
  })),
  'query types are ignored': inPolicies((policy) => ({ ...policy, extensions: { ...policy.extensions, queryTypes: null } })),
  'deny-fqdns is ignored': inPolicies((policy) => ({ ...policy, extensions: { ...policy.extensions, denyFqdns: null } })),
  'a policy is clusterwide': inPolicies((policy) => ({ ...policy, namespace: '' })),
  'only the first spec counts': inPolicies((policy) => ({ ...policy, specs: policy.specs.slice(0, 1) })),
  'only the first policy counts': (world) => ({ ...world, objects: { ...world.objects, policies: world.objects.policies.slice(0, 1) } }),
  'the mode is ignored': (world) => ({ ...world, mode: 'default' }),
  'labels of namespaces are ignored': (world) => ({ ...world, objects: { ...world.objects, namespaces: [] } }),
  'EndpointSlices are ignored': (world) => ({ ...world, objects: { ...world.objects, endpointSlices: [] } }),
  'a Service address is like any other': (world) => ({ ...world, objects: { ...world.objects, services: [] } }),
  'pods on the host network are like any other': (world) => ({
    ...world, objects: { ...world.objects, pods: world.objects.pods.map((pod) => ({ ...pod, hostNetwork: false })) },
  }),
  'pods that have ended still count': (world) => ({
    ...world, objects: { ...world.objects, pods: world.objects.pods.map((pod) => ({ ...pod, phase: null })) },
  }),
};

t.test('each of these mistakes would be found', (t) => {
  for (const [name, mistake] of Object.entries(MISTAKES)) {
    const found = fc.check(
      fc.property(cases, ([world, asked, made]) => {
        compare({ compiled: world, read: mistake(world), asked, made }, () => undefined);
      }),
      { numRuns: MISTAKE_WORLDS, endOnFailure: true },
    );
    t.ok(found.errorInstance instanceof Disagreement, `${name}: found in world ${String(found.numRuns)}`);
  }
  t.end();
});

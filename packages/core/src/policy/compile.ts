/**
 * Objects → snapshot. Endpoints are this node's pods, identities all pods' label sets and all prefixes that policies name, rules
 * the sections of all policies that select an endpoint, flattened (one per `toPorts` entry).
 *
 * Invariant: the same objects in any order, with the same allotment, give the same snapshot, whatever was compiled before. What is
 * kept from compile to compile is looked up by the objects themselves: a source that gives unchanged ones again pays for the change
 * alone. An unready backend counts, so that verdicts do not flap. Unlike Cilium, no pod label is filtered out: a policy may select by
 * `pod-template-hash`, too.
 * Does not know: where objects come from, who enforces the result.
 */
import { Allotter, NO_ALLOTMENT, type Allotment } from './allotment.js';
import { Flattener, type FlatSpec } from './flatten.js';
import { LabelGroups } from './label-groups.js';
import type { PolicyObject, PolicyObjects, RuleSpec } from './objects.js';
import { CidrDirectory, cidrsOf, PeerResolver } from './peers.js';
import { policyRecords } from './policy-records.js';
import { RuleSets } from './rule-sets.js';
import { SelectorList } from './selector-list.js';
import { ServiceRecords } from './services.js';
import { FIRST_POD_IDENTITY, type CidrRecord, type EndpointRecord, type RuleSet, type Snapshot } from './snapshot.js';
import { sha256OfTexts, snapshotHashWith, type HashTools, type Sha256 } from './snapshot-hash.js';
import { byText } from './sort.js';
import { checkContent } from './validate.js';
import { worldOf, type World } from './world.js';

/** Cilium's enforcement modes: `always` also closes pods that no policy selects, `never` opens all. */
export const ENFORCEMENT_MODES = ['default', 'always', 'never'] as const;
export type EnforcementMode = (typeof ENFORCEMENT_MODES)[number];

export interface CompileOptions {
  readonly nodeName: string;
  readonly enablePolicy: EnforcementMode;
  /** As it came out of the compile before; null for the first one. */
  readonly allotment: Allotment | null;
  readonly revision: number;
}

export interface CompileResult {
  readonly snapshot: Snapshot;
  readonly allotment: Allotment;
  /** What was left out or does nothing, and why, one sentence each, sorted, at most `NOTICES_MAX`: for logs and `status`. */
  readonly notices: readonly string[];
}

export const NOTICES_MAX = 1000;

/** One compile, with nothing kept. @throws as `SnapshotCompiler.compile`. */
export function compileSnapshot(objects: PolicyObjects, options: CompileOptions): CompileResult {
  return new SnapshotCompiler().compile(objects, options);
}

/** What policies were compiled against, and how far that goes for the next compile. */
interface Kept {
  readonly objects: PolicyObjects;
  readonly options: CompileOptions;
  readonly world: World;
  /** The prefixes that policies name, as one text. */
  readonly cidrKey: string;
  readonly cidrRecords: readonly CidrRecord[];
  readonly flattener: Flattener;
  readonly sets: RuleSets;
  readonly allotment: Allotment;
}

export class SnapshotCompiler {
  private readonly tools: HashTools;
  private readonly passed = new WeakSet<RuleSet>();
  /** Prefixes that a policy names; what its Services stand for is the world's say. */
  private readonly cidrs = new WeakMap<World, WeakMap<PolicyObject, readonly string[]>>();
  private readonly selectors = new SelectorList();
  private readonly groups = new LabelGroups();
  private readonly services = new ServiceRecords();
  private kept: Kept | null = null;

  constructor(sha256: Sha256 = sha256OfTexts) {
    this.tools = { sha256, texts: new WeakMap() };
  }

  /** Throws AppError: SNAPSHOT_REFUSED where the objects exceed `SNAPSHOT_LIMITS`, LIMIT where numbers run out. */
  compile(objects: PolicyObjects, options: CompileOptions): CompileResult {
    const before = this.kept;
    const { nodeName, enablePolicy, revision } = options;
    const world = isSameWorld(before, objects, options)
      ? before.world
      : worldOf(objects, nodeName, { allotment: options.allotment ?? NO_ALLOTMENT, revision, groups: this.groups, services: this.services });
    const { cidrKey, cidrRecords, flattener, allotment } = this.resolver(objects, options, world);
    const specs = flattener.flatten(objects.policies);
    const previous = before?.flattener === flattener ? before.sets : null;
    const sets = new RuleSets(specs, { mode: enablePolicy, clusterPorts: world.clusterPorts, tools: this.tools, previous });
    const keyed = world.endpoints.map(({ record, pod }) => ({ record, keys: sets.keysFor(record.identity, pod) }));
    const { ruleSets, rowOf } = sets.finish();
    const content = {
      nodeName,
      endpoints: keyed.map(({ record, keys }): EndpointRecord => ({
        ...record,
        ruleSet: keys.egress === null ? null : rowOf(keys.egress),
        ...(keys.ingress === null ? {} : { ingressRuleSet: rowOf(keys.ingress) }),
      })),
      identities: world.identityRecords,
      ...(world.contested.length === 0 ? {} : { contested: world.contested }),
      ...(cidrRecords.length === 0 ? {} : { cidrs: cidrRecords }),
      services: world.serviceRecords,
      ruleSets,
      fqdnSelectors: this.selectors.of(ruleSets),
      policies: policyRecords(specs, keyed.map(({ record: { id, identity } }) => ({ id, specs: sets.selecting(identity) })), enablePolicy !== 'never'),
    };
    checkContent(content, this.passed, this.tools);
    this.kept = { objects, options, world, cidrKey, cidrRecords, flattener, sets, allotment };
    const notices = [...world.notices, ...closedSpecs(specs), ...idleSpecs(specs, world), ...unknownPorts(specs, world)];
    return { snapshot: { revision, hash: snapshotHashWith(this.selectors.texts(), content, this.tools), ...content }, allotment, notices: boundedNotices(notices) };
  }

  /** How peers are resolved: as before where the cluster and the prefixes that policies name are the same. */
  private resolver(objects: PolicyObjects, { allotment, revision }: CompileOptions, world: World): Pick<Kept, 'cidrKey' | 'cidrRecords' | 'flattener' | 'allotment'> {
    const cidrs = new Set(objects.policies.flatMap((policy) => this.cidrsOf(policy, world)));
    const cidrKey = [...cidrs].sort(byText).join();
    if (this.kept?.world === world && this.kept.cidrKey === cidrKey) return this.kept;
    const numbers = new Allotter(allotment ?? NO_ALLOTMENT, 'cidr');
    const directory = new CidrDirectory(cidrs, world.apiServerElsewhere, numbers);
    const { entries, next } = numbers.finish(revision);
    const { endpoints, identities } = world.numbers;
    return {
      cidrKey,
      cidrRecords: directory.records(),
      flattener: new Flattener(new PeerResolver(world.directory, directory, world.services)),
      allotment: {
        endpoints: endpoints.entries, identities: identities.entries, cidrs: entries,
        nextEndpointId: endpoints.next, nextIdentity: identities.next, nextCidr: next,
      },
    };
  }

  private cidrsOf(policy: PolicyObject, world: World): readonly string[] {
    let known = this.cidrs.get(world);
    if (known === undefined) {
      known = new WeakMap();
      this.cidrs.set(world, known);
    }
    let cidrs = known.get(policy);
    if (cidrs === undefined) {
      cidrs = [...cidrsOf(ruleSpecs(policy), world.services)];
      known.set(policy, cidrs);
    }
    return cidrs;
  }
}

function isSameWorld(before: Kept | null, objects: PolicyObjects, options: CompileOptions): before is Kept {
  if (before?.allotment !== options.allotment || before === null) return false;
  if (options.nodeName !== before.options.nodeName || options.enablePolicy !== before.options.enablePolicy) return false;
  return (['pods', 'namespaces', 'services', 'endpointSlices'] as const).every((list) => {
    const [now, then] = [objects[list], before.objects[list]];
    return now.length === then.length && now.every((one, i) => one === then[i]);
  });
}

function ruleSpecs({ specs }: PolicyObject): RuleSpec[] {
  return specs.flatMap(({ egress, ingress }) => [egress, ingress].flatMap(({ allow, deny }) => [...(allow ?? []), ...(deny ?? [])]));
}

function closedSpecs(specs: readonly FlatSpec[]): string[] {
  return specs.flatMap((spec) => (['egress', 'ingress'] as const).flatMap((direction) => {
    const { refusal } = spec[direction];
    return refusal === null ? [] : [`${policyText(spec)}: allows nothing in ${spec.origin.path}.${direction}, for it cannot be published: ${refusal}`];
  }));
}

/** A selector that matches nobody is mostly a misspelt one. Without pods (policies looked at by themselves) nobody could match. */
function idleSpecs(specs: readonly FlatSpec[], { directory }: World): string[] {
  if (!directory.hasPods) return [];
  return specs
    .filter(({ selected }) => selected?.some((identity) => identity >= FIRST_POD_IDENTITY) === false)
    .map((spec) => `${policyText(spec)}: ${spec.origin.path}.endpointSelector matches no pod`);
}

function unknownPorts(specs: readonly FlatSpec[], { clusterPorts, directory }: World): string[] {
  if (!directory.hasPods) return [];
  const known = new Set(clusterPorts.map(({ name }) => name));
  return specs.flatMap((spec) =>
    [...spec.egress.rules, ...spec.ingress.rules].flatMap(({ rule: { origin }, named }) =>
      named.filter(({ portName }) => !known.has(portName)).map(({ portName }) => `${policyText(spec)}: ${origin.path} names the port "${portName}", which no pod has`),
    ),
  );
}

function policyText({ origin: { kind, namespace, name } }: FlatSpec): string {
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`;
}

function boundedNotices(notices: readonly string[]): string[] {
  const sorted = [...notices].sort(byText);
  const more = sorted.length - NOTICES_MAX;
  return more <= 0 ? sorted : [...sorted.slice(0, NOTICES_MAX - 1), `${more + 1} more notices are not shown`];
}

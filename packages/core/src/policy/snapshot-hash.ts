/**
 * The two hashes of a snapshot: of its content, and of one rule set: SHA-256 of canonical JSON (content-hash.ts).
 *
 * Invariant: the texts here are the canonical JSON, though the large ones are written in their fixed order of keys by the runtime's
 * own JSON, which is many times faster (`snapshot-hash.test.ts` holds them against `canonicalJson`).
 */
import { canonicalJson, sha256Hex, utf8 } from './content-hash.js';
import type { EndpointLocation, EndpointRecord, FqdnSelector, PolicyRecord, PolicyRule, RuleSet, Snapshot } from './snapshot.js';

/** SHA-256 of these texts in a row, as UTF-8: 64 lower-case hex digits. The host has a fast one. */
export type Sha256 = (texts: Iterable<string>) => string;

export const sha256OfTexts: Sha256 = (texts) => sha256Hex(utf8([...texts].join('')));

export interface HashTools {
  readonly sha256: Sha256;
  /** The texts of lists and Services, for as long as these live: an edit changes few of them. */
  readonly texts: WeakMap<object, string>;
}

const plainTools = (): HashTools => ({ sha256: sha256OfTexts, texts: new WeakMap() });

/** Hash of a snapshot's content: all but `revision` and `hash`. */
export function snapshotHash(content: Omit<Snapshot, 'revision' | 'hash'>, tools: HashTools = plainTools()): string {
  return tools.sha256(contentTexts(content, [JSON.stringify(content.fqdnSelectors.map(selectorInOrder))], tools));
}

/** The same, of content whose list of FQDN selectors is known as text already. */
export function snapshotHashWith(selectorTexts: Iterable<string>, content: Omit<Snapshot, 'revision' | 'hash'>, tools: HashTools): string {
  return tools.sha256(contentTexts(content, selectorTexts, tools));
}

/** Key of a rule set: equal keys mean equal rules. One that says nothing but its rules is hashed as their list alone, as ever. */
export function ruleSetKey(set: Omit<RuleSet, 'key'>, tools: HashTools = plainTools()): string {
  const { rules, openByDefault, limits } = set;
  const text = textOf(rules, tools, ruleInOrder);
  return tools.sha256(openByDefault === undefined && limits === undefined ? [text] : ['{', ...setMembers(set, text), '}']);
}

function* contentTexts(content: Omit<Snapshot, 'revision' | 'hash'>, selectorTexts: Iterable<string>, tools: HashTools): Generator<string> {
  const { nodeName, boot, endpoints, identities, cidrs, contested, services, ruleSets, policies } = content;
  yield boot === undefined ? '{' : `{"boot":${JSON.stringify(boot)},`;
  if (cidrs !== undefined) yield `"cidrs":${textOf(cidrs, tools, null)},`;
  if (contested !== undefined) yield `"contested":${textOf(contested, tools, null)},`;
  yield `"endpoints":${JSON.stringify(endpoints.map(endpointInOrder))},"fqdnSelectors":`;
  yield* selectorTexts;
  yield `,"identities":${textOf(identities, tools, null)},"nodeName":${JSON.stringify(nodeName)},"policies":${JSON.stringify(policies.map(policyInOrder))},"ruleSets":[`;
  for (let i = 0; i < ruleSets.length; i++) {
    const set = ruleSets[i];
    yield `${i === 0 ? '' : ','}{"key":${JSON.stringify(set.key)},`;
    yield* setMembers(set, textOf(set.rules, tools, ruleInOrder));
    yield '}';
  }
  yield '],"services":[';
  for (let i = 0; i < services.length; i++) {
    if (i > 0) yield ',';
    yield canonicalTextOf(services[i], tools);
  }
  yield ']}';
}

function* setMembers({ openByDefault, limits }: Omit<RuleSet, 'key'>, rules: string): Generator<string> {
  if (limits !== undefined) yield `"limits":${canonicalJson(limits)},`;
  if (openByDefault !== undefined) yield '"openByDefault":true,';
  yield '"rules":';
  yield rules;
}

/** `inOrder` gives an item with its keys in order; null: canonical JSON finds it. */
function textOf<T>(list: readonly T[], { texts }: HashTools, inOrder: ((item: T) => object) | null): string {
  let text = texts.get(list);
  if (text === undefined) {
    text = inOrder === null ? canonicalJson(list) : JSON.stringify(list.map(inOrder));
    texts.set(list, text);
  }
  return text;
}

function canonicalTextOf(item: object, { texts }: HashTools): string {
  let text = texts.get(item);
  if (text === undefined) texts.set(item, (text = canonicalJson(item)));
  return text;
}

function endpointInOrder({ addresses, at, id, identity, ingressRuleSet, namespace, pod, ruleSet, uid }: EndpointRecord): object {
  return { addresses, at: at?.map(locationInOrder), id, identity, ingressRuleSet, namespace, pod, ruleSet, uid };
}

function locationInOrder({ address, bridge, interface: index, link, mac }: EndpointLocation): object {
  return { address, bridge, interface: index, link, mac };
}

function policyInOrder({ kind, name, namespace, specs }: PolicyRecord): object {
  return {
    kind, name, namespace,
    specs: specs.map(({ defaultDeny, endpoints, ingress, path, rules }) => ({
      defaultDeny, endpoints, ingress: ingress === undefined ? undefined : { defaultDeny: ingress.defaultDeny, rules: ingress.rules }, path, rules,
    })),
  };
}

/** What is undefined is left out by JSON. */
function ruleInOrder({ deny, dnsPatterns, fqdns, identities, origin: { kind, name, namespace, path }, ports, queryTypes }: PolicyRule): object {
  return {
    deny,
    dnsPatterns: dnsPatterns?.map(selectorInOrder) ?? null,
    fqdns: fqdns.map(selectorInOrder),
    identities,
    origin: { kind, name, namespace, path },
    ports: ports.map(({ first, last, protocol }) => ({ first, last, protocol })),
    queryTypes,
  };
}

function selectorInOrder({ matchName, matchPattern }: FqdnSelector): FqdnSelector {
  return { matchName, matchPattern };
}

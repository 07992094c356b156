/** Are these the rules of a snapshot? As validate.ts, for the part that says what is allowed. */
import { SNAPSHOT_LIMITS as LIMITS } from './limits.js';
import { admitMatchName, admitMatchPattern, asGiven } from './pattern.js';
import {
  L4_PROTOCOL, POLICY_KINDS, type FqdnSelector, type L4Protocol, type PolicyKind, type PolicyRule, type PortRange, type QueryLimits, type RuleOrigin, type RuleSet,
} from './snapshot.js';
import { ruleSetKey, type HashTools } from './snapshot-hash.js';
import { integer, list, record, refuse, text } from './validate-values.js';

const NUMBER_MAX = 65535;
const IDENTITY_MAX = 0xffff_ffff;

export function ruleSet(value: unknown, at: string, tools: HashTools): RuleSet {
  const item = record(value, at, ['key', 'rules'], ['openByDefault', 'limits']);
  const key = text(item.key, `${at}.key`);
  const content = {
    rules: list(item.rules, `${at}.rules`, LIMITS.rulesPerSet, rule),
    ...flag(item, at, 'openByDefault'),
    ...(item.limits === undefined ? {} : { limits: limits(item.limits, `${at}.limits`) }),
  };
  if (key !== ruleSetKey(content, tools)) refuse(`${at}.key`, 'is not the hash of its content');
  return { key, ...content };
}

function limits(value: unknown, at: string): QueryLimits {
  const item = record(value, at, [], ['grantScope', 'queryRate', 'labelEntropyBits', 'auditRate', 'auditEntropy', 'privateNames']);
  if (item.grantScope !== undefined && item.grantScope !== 'endpoint') refuse(`${at}.grantScope`, 'is not "endpoint"');
  return {
    ...(item.grantScope === undefined ? {} : { grantScope: 'endpoint' }),
    ...(item.queryRate === undefined ? {} : { queryRate: integer(item.queryRate, `${at}.queryRate`, 1, LIMITS.queryRate) }),
    ...(item.labelEntropyBits === undefined
      ? {}
      : { labelEntropyBits: integer(item.labelEntropyBits, `${at}.labelEntropyBits`, 1, LIMITS.labelEntropyBits) }),
    ...flag(item, at, 'auditRate'),
    ...flag(item, at, 'auditEntropy'),
    ...(item.privateNames === undefined ? {} : { privateNames: list(item.privateNames, `${at}.privateNames`, LIMITS.patternsPerRule, selector) }),
  };
}

/** A field that is true or absent. */
function flag<K extends string>(item: Readonly<Record<string, unknown>>, at: string, key: K): Partial<Record<K, true>> {
  const said = item[key];
  if (said !== undefined && said !== true) refuse(`${at}.${key}`, 'is not true; where it is not, it is left out');
  return (said === undefined ? {} : { [key]: true }) as Partial<Record<K, true>>;
}

/** Throws AppError SNAPSHOT_REFUSED, as all of this. */
export function rule(value: unknown, at: string): PolicyRule {
  const item = record(value, at, ['identities', 'fqdns', 'ports', 'dnsPatterns', 'origin'], ['queryTypes', 'deny']);
  const identities =
    item.identities === null
      ? null
      : list(item.identities, `${at}.identities`, LIMITS.identities, (one, where) => integer(one, where, 0, IDENTITY_MAX));
  if (identities?.some((one, i) => i > 0 && one <= identities[i - 1])) refuse(`${at}.identities`, 'is not rising');
  const fqdns = list(item.fqdns, `${at}.fqdns`, LIMITS.fqdnSelectors, selector);
  // With no identities at all such a rule would read as "any server".
  if (identities === null && fqdns.length > 0) refuse(`${at}.identities`, 'is null in a rule with fqdns');
  const dnsPatterns =
    item.dnsPatterns === null ? null : list(item.dnsPatterns, `${at}.dnsPatterns`, LIMITS.patternsPerRule, selector);
  // Empty could mean "none" or "all": a snapshot has to say which.
  if (dnsPatterns?.length === 0) refuse(`${at}.dnsPatterns`, 'is empty');
  if (item.queryTypes !== undefined && dnsPatterns === null) refuse(`${at}.queryTypes`, 'stands in a rule without dnsPatterns');
  return {
    identities,
    fqdns,
    ports: list(item.ports, `${at}.ports`, LIMITS.portsPerRule, portRange),
    dnsPatterns,
    ...(item.queryTypes === undefined
      ? {}
      : { queryTypes: list(item.queryTypes, `${at}.queryTypes`, LIMITS.queryTypesPerRule, (one, where) => integer(one, where, 0, NUMBER_MAX)) }),
    ...flag(item, at, 'deny'),
    origin: origin(item.origin, `${at}.origin`),
  };
}

function portRange(value: unknown, at: string): PortRange {
  const item = record(value, at, ['first', 'last', 'protocol']);
  const first = integer(item.first, `${at}.first`, 0, NUMBER_MAX);
  return {
    first,
    last: integer(item.last, `${at}.last`, first, NUMBER_MAX),
    protocol: item.protocol === null ? null : l4Protocol(item.protocol, `${at}.protocol`),
  };
}

export function selector(value: unknown, at: string): FqdnSelector {
  const item = record(value, at, ['matchName', 'matchPattern']);
  if (item.matchName === null && item.matchPattern === null) refuse(at, 'has neither matchName nor matchPattern');
  return {
    matchName: item.matchName === null ? null : admitted(item.matchName, `${at}.matchName`, admitMatchName),
    matchPattern: item.matchPattern === null ? null : admitted(item.matchPattern, `${at}.matchPattern`, admitMatchPattern),
  };
}

function admitted(value: unknown, at: string, admit: typeof admitMatchName): string {
  const given = text(value, at);
  const admission = admit(asGiven(given));
  if (!admission.ok) refuse(at, admission.reason);
  if (admission.text !== given) refuse(at, `is not in its admitted form "${admission.text}"`);
  return given;
}

function origin(value: unknown, at: string): RuleOrigin {
  const item = record(value, at, ['kind', 'namespace', 'name', 'path']);
  return {
    kind: policyKind(item.kind, `${at}.kind`),
    namespace: text(item.namespace, `${at}.namespace`),
    name: text(item.name, `${at}.name`),
    path: text(item.path, `${at}.path`),
  };
}

export function policyKind(value: unknown, at: string): PolicyKind {
  return POLICY_KINDS.find((kind) => kind === value) ?? refuse(at, 'is no kind of policy');
}

function l4Protocol(value: unknown, at: string): L4Protocol {
  const known = Object.values(L4_PROTOCOL);
  return known.find((one) => one === value) ?? refuse(at, `is none of the protocols ${known.join(', ')}`);
}

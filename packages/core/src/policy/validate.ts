/**
 * Is this data a snapshot? For bytes from a peer or from disk, already decoded to plain data. The result is a fresh copy of
 * the known fields, so nothing of the sender's objects is kept.
 *
 * Invariant: what passes can be given to `PolicyIndex.build` without further checks: structure, limits, indexes in range,
 * lists in the order that look-ups rely on, hash right. What fails is refused as a whole, with the field that is wrong.
 */
import { parsePrefix } from './cidr.js';
import { SNAPSHOT_LIMITS as LIMITS } from './limits.js';
import {
  FIRST_CIDR_IDENTITY,
  FIRST_POD_IDENTITY,
  PROTOCOL,
  type CidrRecord,
  type ContestedAddress,
  type EndpointLocation,
  type EndpointRecord,
  type IdentityRecord,
  type PolicyRecord,
  type PolicySpecRecord,
  type Protocol,
  type RuleSet,
  type ServicePort,
  type ServiceRecord,
  type Snapshot,
} from './snapshot.js';
import { sha256OfTexts, snapshotHash, type HashTools, type Sha256 } from './snapshot-hash.js';
import { policyKind, ruleSet, selector } from './validate-rules.js';
import { address, distinct, integer, list, record, refuse, text } from './validate-values.js';

const NUMBER_MAX = 65535;
/** Linux's ifindex is a positive int. */
const INTERFACE_MAX = 2 ** 31 - 1;
const OWN_IDENTITY_MAX = FIRST_CIDR_IDENTITY + NUMBER_MAX;
const IDENTITY_MAX = 0xffff_ffff;

type Content = Omit<Snapshot, 'revision' | 'hash'>;
const CONTENT_KEYS = ['nodeName', 'endpoints', 'identities', 'services', 'ruleSets', 'fqdnSelectors', 'policies'];

/**
 * Whose numbers a snapshot's identities are. `foreign`: a Cilium agent's, any of 32 bits, of which one may have several prefixes.
 */
export type IdentityNumbers = 'own' | 'foreign';

/** Throws AppError SNAPSHOT_REFUSED; its message names the field, its detail `field` holds the path. */
export function validateSnapshot(value: unknown, sha256: Sha256 = sha256OfTexts, numbers: IdentityNumbers = 'own'): Snapshot {
  const tools: HashTools = { sha256, texts: new WeakMap() };
  const root = record(value, 'snapshot', ['revision', 'hash', ...CONTENT_KEYS], ['boot', 'cidrs', 'contested']);
  const content = contentOf(root, (item, at) => ruleSet(item, at, tools));
  if (numbers === 'own') checkOwnNumbers(content);
  const revision = integer(root.revision, 'revision', 0, Number.MAX_SAFE_INTEGER);
  const hash = text(root.hash, 'hash');
  const own = snapshotHash(content, tools);
  if (hash !== own) refuse('hash', `is ${hash}, the content's is ${own}`);
  return { revision, hash, ...content };
}

/**
 * What a peer would refuse in this content is refused here, before it is published. `passed` are rule sets that have passed before;
 * those that pass now are added. The hash and the list of FQDN selectors are the compiler's own: only their number is looked at.
 */
export function checkContent(content: Content, passed: WeakSet<RuleSet>, tools: HashTools): void {
  const { fqdnSelectors } = content;
  if (fqdnSelectors.length > LIMITS.fqdnSelectors) refuse('fqdnSelectors', `has ${fqdnSelectors.length} entries; the limit is ${LIMITS.fqdnSelectors}`);
  checkOwnNumbers(contentOf({ ...content, fqdnSelectors: [] }, (item, at) => {
    const known = item as RuleSet;
    if (!passed.has(known)) {
      ruleSet(item, at, tools);
      passed.add(known);
    }
    return known;
  }));
}

/** Identities as the agent allots them: each kind in its range, a prefix with one of its own. */
function checkOwnNumbers({ endpoints, identities, contested = [], cidrs = [], ruleSets }: Content): void {
  const check = (number: number, at: string, min: number, max: number): void => {
    integer(number, at, min, max);
  };
  endpoints.forEach((one, i) => check(one.identity, `endpoints[${i}].identity`, FIRST_POD_IDENTITY, NUMBER_MAX));
  identities.forEach((one, i) => check(one.identity, `identities[${i}].identity`, 1, NUMBER_MAX));
  contested.forEach((one, i) => one.identities.forEach((number) => check(number, `contested[${i}].identities`, 1, NUMBER_MAX)));
  cidrs.forEach((one, i) => check(one.identity, `cidrs[${i}].identity`, FIRST_CIDR_IDENTITY, OWN_IDENTITY_MAX));
  ruleSets.forEach(({ rules }, s) => rules.forEach((one, r) => {
    const last = one.identities?.at(-1);
    if (last !== undefined) check(last, `ruleSets[${s}].rules[${r}].identities`, 0, OWN_IDENTITY_MAX);
  }));
  distinct(cidrs.map((one) => String(one.identity)), 'cidrs', 'identity');
}

function contentOf(root: Readonly<Record<string, unknown>>, ruleSetOf: (value: unknown, at: string) => RuleSet): Content {
  const ruleSets = list(root.ruleSets, 'ruleSets', LIMITS.ruleSets, ruleSetOf);
  const content = {
    nodeName: text(root.nodeName, 'nodeName'),
    ...(root.boot === undefined ? {} : { boot: text(root.boot, 'boot') }),
    endpoints: list(root.endpoints, 'endpoints', LIMITS.endpoints, (item, at) => endpoint(item, at, ruleSets.length)),
    identities: list(root.identities, 'identities', LIMITS.identities, identity),
    ...(root.cidrs === undefined ? {} : { cidrs: list(root.cidrs, 'cidrs', LIMITS.cidrs, cidr) }),
    ...(root.contested === undefined ? {} : { contested: list(root.contested, 'contested', LIMITS.addressesPerRecord, contestedAddress) }),
    services: list(root.services, 'services', LIMITS.services, service),
    ruleSets,
    fqdnSelectors: list(root.fqdnSelectors, 'fqdnSelectors', LIMITS.fqdnSelectors, selector),
    policies: list(root.policies, 'policies', LIMITS.policies, policy),
  };
  if ((content.boot === undefined) === content.endpoints.some(({ at }) => at !== undefined)) {
    refuse('boot', content.boot === undefined ? 'is missing beside locations of endpoints' : 'stands without any location of an endpoint');
  }
  distinct(content.endpoints.map(({ id }) => String(id)), 'endpoints', 'id');
  distinct(content.endpoints.map(({ uid }) => uid), 'endpoints', 'uid');
  distinct(content.endpoints.flatMap(({ addresses }) => addresses), 'endpoints', 'address');
  distinct(content.identities.map((one) => String(one.identity)), 'identities', 'identity');
  distinct([...content.identities.flatMap(({ addresses }) => addresses), ...(content.contested ?? []).map((one) => one.address)], 'identities', 'address');
  distinct((content.cidrs ?? []).map((one) => one.cidr), 'cidrs', 'prefix');
  distinct(ruleSets.map(({ key }) => key), 'ruleSets', 'key');
  distinct(content.policies.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`), 'policies', 'policy');
  selectedOnes(content.policies, new Set(content.endpoints.map(({ id }) => id)));
  return content;
}

function endpoint(value: unknown, at: string, ruleSets: number): EndpointRecord {
  const item = record(value, at, ['id', 'uid', 'namespace', 'pod', 'identity', 'addresses', 'ruleSet'], ['at', 'ingressRuleSet']);
  const addresses = list(item.addresses, `${at}.addresses`, LIMITS.addressesPerRecord, address);
  return {
    id: integer(item.id, `${at}.id`, 1, NUMBER_MAX),
    uid: text(item.uid, `${at}.uid`),
    namespace: text(item.namespace, `${at}.namespace`),
    pod: text(item.pod, `${at}.pod`),
    identity: integer(item.identity, `${at}.identity`, 1, IDENTITY_MAX),
    addresses,
    ...(item.at === undefined ? {} : { at: locations(item.at, `${at}.at`, addresses) }),
    ruleSet: item.ruleSet === null ? null : integer(item.ruleSet, `${at}.ruleSet`, 0, ruleSets - 1),
    ...(item.ingressRuleSet === undefined ? {} : { ingressRuleSet: integer(item.ingressRuleSet, `${at}.ingressRuleSet`, 0, ruleSets - 1) }),
  };
}

function locations(value: unknown, at: string, addresses: readonly string[]): EndpointLocation[] {
  const places = list(value, at, addresses.length, location);
  if (places.length === 0) refuse(at, 'is empty; where nothing is known, it is left out');
  let next = 0;
  places.forEach((place, i) => {
    const found = addresses.indexOf(place.address, next);
    if (found < 0) refuse(`${at}[${i}].address`, `${place.address} is no address of the endpoint, or out of their order`);
    next = found + 1;
  });
  return places;
}

function location(value: unknown, at: string): EndpointLocation {
  const item = record(value, at, ['address', 'interface'], ['link', 'mac', 'bridge']);
  if ((item.mac === undefined) !== (item.bridge === undefined)) refuse(at, 'has one of mac and bridge without the other');
  return {
    address: address(item.address, `${at}.address`),
    interface: integer(item.interface, `${at}.interface`, 1, INTERFACE_MAX),
    ...(item.link === undefined ? {} : { link: text(item.link, `${at}.link`) }),
    ...(item.mac === undefined ? {} : { mac: mac(item.mac, `${at}.mac`), bridge: integer(item.bridge, `${at}.bridge`, 1, INTERFACE_MAX) }),
  };
}

/** Of one station (IEEE 802-2014 §8.2: the group bit is zero). */
function mac(value: unknown, at: string): string {
  const given = text(value, at);
  if (!/^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/.test(given) || given === '00:00:00:00:00:00') refuse(at, `"${given}" is not the MAC of a station, in lower case with colons`);
  return given;
}

function identity(value: unknown, at: string): IdentityRecord {
  const item = record(value, at, ['identity', 'labels', 'addresses']);
  return {
    identity: integer(item.identity, `${at}.identity`, 1, IDENTITY_MAX),
    labels: list(item.labels, `${at}.labels`, LIMITS.labelsPerIdentity, text),
    addresses: list(item.addresses, `${at}.addresses`, LIMITS.addressesPerRecord, address),
  };
}

function contestedAddress(value: unknown, at: string): ContestedAddress {
  const item = record(value, at, ['address', 'identities']);
  const identities = list(item.identities, `${at}.identities`, LIMITS.identities, (one, where) => integer(one, where, 1, IDENTITY_MAX));
  if (identities.length < 2 || identities.some((one, i) => i > 0 && one <= identities[i - 1])) refuse(`${at}.identities`, 'is not rising, or has fewer than two');
  return { address: address(item.address, `${at}.address`), identities };
}

function cidr(value: unknown, at: string): CidrRecord {
  const item = record(value, at, ['identity', 'cidr'], ['labels']);
  const given = text(item.cidr, `${at}.cidr`);
  if (parsePrefix(given)?.cidr !== given) refuse(`${at}.cidr`, `"${given}" is not a canonical prefix`);
  return {
    identity: integer(item.identity, `${at}.identity`, 1, IDENTITY_MAX),
    cidr: given,
    ...(item.labels === undefined ? {} : { labels: list(item.labels, `${at}.labels`, LIMITS.labelsPerIdentity, text) }),
  };
}

function service(value: unknown, at: string): ServiceRecord {
  const item = record(value, at, ['namespace', 'name', 'addresses', 'ports']);
  return {
    namespace: text(item.namespace, `${at}.namespace`),
    name: text(item.name, `${at}.name`),
    addresses: list(item.addresses, `${at}.addresses`, LIMITS.addressesPerRecord, address),
    ports: list(item.ports, `${at}.ports`, LIMITS.portsPerService, servicePort),
  };
}

function servicePort(value: unknown, at: string): ServicePort {
  const item = record(value, at, ['port', 'protocol', 'backends']);
  return {
    port: integer(item.port, `${at}.port`, 0, NUMBER_MAX),
    protocol: protocol(item.protocol, `${at}.protocol`),
    backends: list(item.backends, `${at}.backends`, LIMITS.backendsPerPort, (one, where) => {
      const backend = record(one, where, ['address', 'port']);
      return {
        address: address(backend.address, `${where}.address`),
        port: integer(backend.port, `${where}.port`, 0, NUMBER_MAX),
      };
    }),
  };
}

function policy(value: unknown, at: string): PolicyRecord {
  const item = record(value, at, ['kind', 'namespace', 'name', 'specs']);
  return {
    kind: policyKind(item.kind, `${at}.kind`),
    namespace: text(item.namespace, `${at}.namespace`),
    name: text(item.name, `${at}.name`),
    specs: list(item.specs, `${at}.specs`, LIMITS.specsPerPolicy, policySpec),
  };
}

function policySpec(value: unknown, at: string): PolicySpecRecord {
  const item = record(value, at, ['path', 'rules', 'defaultDeny', 'endpoints'], ['ingress']);
  return {
    path: text(item.path, `${at}.path`),
    ...direction(item, at),
    ...(item.ingress === undefined ? {} : { ingress: direction(record(item.ingress, `${at}.ingress`, ['rules', 'defaultDeny']), `${at}.ingress`) }),
    endpoints: list(item.endpoints, `${at}.endpoints`, LIMITS.endpoints, (one, where) => integer(one, where, 1, NUMBER_MAX)),
  };
}

function direction({ rules, defaultDeny }: Readonly<Record<string, unknown>>, at: string): { readonly rules: number; readonly defaultDeny: boolean } {
  if (typeof defaultDeny !== 'boolean') refuse(`${at}.defaultDeny`, 'is neither true nor false');
  return { rules: integer(rules, `${at}.rules`, 0, Number.MAX_SAFE_INTEGER), defaultDeny };
}

function selectedOnes(policies: readonly PolicyRecord[], ids: ReadonlySet<number>): void {
  let total = 0;
  policies.forEach(({ specs }, p) => {
    specs.forEach(({ endpoints }, s) => {
      const at = `policies[${p}].specs[${s}].endpoints`;
      total += endpoints.length;
      if (total > LIMITS.policyEndpoints) refuse(at, `brings the selected endpoints above ${LIMITS.policyEndpoints} in all`);
      endpoints.forEach((id, i) => {
        if (i > 0 && id <= endpoints[i - 1]) refuse(at, 'is not rising');
        if (!ids.has(id)) refuse(at, `has ${id}, which is no endpoint`);
      });
    });
  });
}

function protocol(value: unknown, at: string): Protocol {
  if (value !== PROTOCOL.tcp && value !== PROTOCOL.udp) refuse(at, 'is neither TCP (6) nor UDP (17)');
  return value;
}

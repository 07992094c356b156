/**
 * The policy snapshot in its runtime form: who owns an address, and may this endpoint ask that server this name.
 *
 * How a server is judged: a rule covers a server if it selects the server's identity (or has no L3 part) and covers the
 * port. A Service address stands for its backends: every backend must be allowed on its own, by whichever rule. A rule's
 * port is held against the port that was asked and against the backend's port, and either will do: Cilium sees the
 * backend's port (after DNAT), users mostly write the Service's. A Service port that leads nowhere is reachable only
 * through rules without an L3 part. A rule made of toFQDNs covers no DNS server.
 *
 * Invariants: rules only allow; no rule that matches means DENY. In steady state `decide` allocates nothing. Memo and
 * tables are bounded; at the bound they are dropped and made again, which costs time, never a verdict.
 * Does not know: strangers (`endpointAt` says −1, the caller refuses), DNS types, clocks.
 */
import { LRUCache } from 'lru-cache';
import { AddressTable } from './address-table.js';
import { NameTable, type NameView, type TableEntry } from './name-table.js';
import { patternsOf } from './pattern.js';
import {
  RESERVED_IDENTITY,
  type PolicyRule,
  type EndpointRecord,
  type PortRange,
  type RuleSet,
  type ServicePort,
  type Snapshot,
} from './snapshot.js';

/** Verdicts of `decide` below zero; from zero on it is the index of the rule that allows. */
export const ALLOW_NO_POLICY = -1;
export const DENY = -2;

/** Row of `serverAt` for addresses that are no pod and no service. */
export const WORLD_ROW = 0;

/** What an address is as a DNS server. */
export interface ServerRow {
  /** Of the pods at the address; RESERVED_IDENTITY.unknown where only a service has it. */
  readonly identity: number;
  /** Indexes into `snapshot.services` of those that have the address. */
  readonly services: readonly number[];
}

/** One thing that must be allowed: an identity, asked by any of these ports. */
export interface Target {
  readonly identity: number;
  readonly ports: readonly number[];
}

/** Resolutions remembered per (rule set, server, port, protocol): two ways each. */
const MEMO_SLOTS = 4096;
const MEMO_FIELDS = 4;
const RESOLUTIONS_MAX = 8192;
/** Compiled tables kept. A rule set has several: they differ by which of its rules cover a server and port. */
const TABLES_MAX = 8192;
/** Tables compiled ahead at build, per rule set, so that the first query need not wait for them. */
const WARM_TARGETS_MAX = 64;

/** All tables must allow; none at all denies. */
type Resolution = readonly NameTable[];
type Tables = LRUCache<string, NameTable>;

export class PolicyIndex {
  readonly snapshot: Snapshot;
  readonly #endpoints: AddressTable;
  readonly #servers: AddressTable;
  readonly #serverRows: readonly ServerRow[];
  readonly #identityByAddress: ReadonlyMap<string, number>;
  /** Rule set of each endpoint; −1 means no policy. */
  readonly #ruleSetOf: Int32Array;
  /** By rule set key and covering rules; handed on from index to index, so that an edit compiles only what it changed. */
  readonly #tables: Tables;
  #compiled = 0;
  readonly #memo = new Int32Array(MEMO_SLOTS * MEMO_FIELDS).fill(-1);
  #resolutions: Resolution[] = [];
  #resolutionIndex = new Map<string, number>();

  private constructor(snapshot: Snapshot, previous: PolicyIndex | null) {
    this.snapshot = snapshot;
    this.#endpoints = new AddressTable(
      snapshot.endpoints.flatMap((endpoint, row) => endpoint.addresses.map((address) => ({ address, row }))),
    );
    this.#ruleSetOf = Int32Array.from(snapshot.endpoints, (endpoint) => endpoint.ruleSet ?? -1);
    this.#identityByAddress = new Map(
      snapshot.identities.flatMap(({ identity, addresses }) => addresses.map((address) => [address, identity] as const)),
    );
    const { rows, table } = serverRows(snapshot, this.#identityByAddress);
    this.#serverRows = rows;
    this.#servers = table;
    this.#tables = previous === null ? new LRUCache({ max: TABLES_MAX }) : previous.#tables;
    for (let row = 0; row < snapshot.ruleSets.length; row++) this.#warm(row);
  }

  /** Compiles a snapshot; compiled tables of rule sets that it shares with `previous` are used again. */
  static build(snapshot: Snapshot, previous: PolicyIndex | null): PolicyIndex {
    return new PolicyIndex(snapshot, previous);
  }

  /**
   * Row of the endpoint that owns the address, or −1. `words[at]` to `words[at + 3]` are the 16 address bytes as they lie
   * in memory (network order, seen through a little-endian Uint32Array); v4 is v4-mapped (::ffff:a.b.c.d).
   */
  endpointAt(words: Uint32Array, at: number): number {
    return this.#endpoints.find(words, at);
  }

  endpoint(row: number): EndpointRecord {
    return this.snapshot.endpoints[row];
  }

  /** Row of what the address is as a server, in the same form; an unknown address is the world. */
  serverAt(words: Uint32Array, at: number): number {
    const row = this.#servers.find(words, at);
    return row < 0 ? WORLD_ROW : row;
  }

  server(row: number): ServerRow {
    return this.#serverRows[row];
  }

  /**
   * May the endpoint ask the server for the name? From 0: index of the allowing rule in the endpoint's rule set (of a
   * Service with unlike backends: of its first one); ALLOW_NO_POLICY; DENY.
   */
  decide(
    endpointRow: number,
    serverRow: number,
    port: number,
    protocol: number,
    bytes: Uint8Array,
    view: NameView,
  ): number {
    const ruleSet = this.#ruleSetOf[endpointRow];
    if (ruleSet < 0) return ALLOW_NO_POLICY;
    const tables = this.#resolve(ruleSet, serverRow, port, protocol);
    if (tables.length === 0) return DENY;
    const first = tables[0].match(bytes, view);
    if (first < 0) return DENY;
    for (let i = 1; i < tables.length; i++) if (tables[i].match(bytes, view) < 0) return DENY;
    return first;
  }

  /** Everything that must be allowed for the server to be: one target for a pod, one per unlike backend for a Service. */
  targetsOf(serverRow: number, port: number, protocol: number): readonly Target[] {
    const server = this.#serverRows[serverRow];
    const open: ServicePort[] = [];
    for (const index of server.services) {
      for (const entry of this.snapshot.services[index].ports) {
        if (entry.port === port && entry.protocol === protocol) open.push(entry);
      }
    }
    if (open.length === 0) return [{ identity: server.identity, ports: [port] }];
    const targets = new Map<string, Target>();
    for (const { backends } of open) {
      for (const backend of backends) {
        const identity = this.#identityByAddress.get(backend.address) ?? RESERVED_IDENTITY.world;
        const ports = backend.port === port ? [port] : [port, backend.port];
        targets.set(`${identity}:${backend.port}`, { identity, ports });
      }
    }
    if (targets.size === 0) return [{ identity: RESERVED_IDENTITY.unknown, ports: [port] }];
    return [...targets.values()];
  }

  /** Name tables that this index had to compile itself. */
  get tablesCompiled(): number {
    return this.#compiled;
  }

  #resolve(ruleSet: number, serverRow: number, port: number, protocol: number): Resolution {
    const portKey = port | (protocol << 16);
    const home = mixKey(ruleSet, serverRow, portKey) & (MEMO_SLOTS - 1);
    const memo = this.#memo;
    for (let way = 0; way < 2; way++) {
      const at = (home ^ way) * MEMO_FIELDS;
      if (memo[at] === serverRow && memo[at + 1] === portKey && memo[at + 2] === ruleSet) {
        return this.#resolutions[memo[at + 3]];
      }
    }
    const index = this.#resolveAnew(ruleSet, serverRow, port, protocol);
    const at = home * MEMO_FIELDS;
    // What lay here moves to the other way, so that a busy key survives one stranger.
    if (memo[at] >= 0) memo.copyWithin((home ^ 1) * MEMO_FIELDS, at, at + MEMO_FIELDS);
    memo[at] = serverRow;
    memo[at + 1] = portKey;
    memo[at + 2] = ruleSet;
    memo[at + 3] = index;
    return this.#resolutions[index];
  }

  #resolveAnew(ruleSet: number, serverRow: number, port: number, protocol: number): number {
    const { rules } = this.snapshot.ruleSets[ruleSet];
    const keys = new Set<string>();
    for (const target of this.targetsOf(serverRow, port, protocol)) {
      const covering = coveringRules(rules, target, protocol);
      // One target that nothing covers refuses the whole server.
      if (covering.length === 0) return this.#remember('', []);
      keys.add(covering.join());
    }
    const list = [...keys];
    return this.#remember(`${ruleSet}/${list.join('/')}`, list.map((key) => this.#table(ruleSet, key)));
  }

  #remember(key: string, resolution: Resolution): number {
    const known = this.#resolutionIndex.get(key);
    if (known !== undefined) return known;
    if (this.#resolutions.length >= RESOLUTIONS_MAX) {
      this.#memo.fill(-1);
      this.#resolutions = [];
      this.#resolutionIndex = new Map();
    }
    this.#resolutions.push(resolution);
    this.#resolutionIndex.set(key, this.#resolutions.length - 1);
    return this.#resolutions.length - 1;
  }

  #table(ruleSet: number, covering: string): NameTable {
    const rules = this.snapshot.ruleSets[ruleSet];
    const key = `${rules.key}/${covering}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      this.#compiled++;
      table = compileRules(rules, covering.split(',').map(Number));
      this.#tables.set(key, table);
    }
    return table;
  }

  #warm(ruleSet: number): void {
    let left = WARM_TARGETS_MAX;
    const { rules } = this.snapshot.ruleSets[ruleSet];
    for (const rule of rules) {
      if (rule.dnsPatterns === null) continue;
      for (const identity of rule.identities ?? [RESERVED_IDENTITY.world]) {
        for (const range of rule.ports) {
          if (left-- <= 0) return;
          const protocol = range.protocol ?? 17;
          const covering = coveringRules(rules, { identity, ports: [range.first] }, protocol);
          this.#table(ruleSet, covering.join());
        }
      }
    }
  }
}

/** Indexes of the rules that cover the target, rising. */
export function coveringRules(rules: readonly PolicyRule[], target: Target, protocol: number): number[] {
  const covering: number[] = [];
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index];
    if (selectsIdentity(rule, target.identity) && coversPort(rule.ports, target.ports, protocol)) covering.push(index);
  }
  return covering;
}

export function selectsIdentity(rule: PolicyRule, identity: number): boolean {
  if (rule.identities === null) return rule.fqdns.length === 0;
  let low = 0;
  let high = rule.identities.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (rule.identities[middle] < identity) low = middle + 1;
    else high = middle;
  }
  return rule.identities[low] === identity;
}

export function coversPort(ranges: readonly PortRange[], ports: readonly number[], protocol: number): boolean {
  if (ranges.length === 0) return true;
  return ranges.some(
    (range) =>
      (range.protocol === null || range.protocol === protocol) &&
      ports.some((port) => port >= range.first && port <= range.last),
  );
}

function compileRules(ruleSet: RuleSet, covering: readonly number[]): NameTable {
  const entries: TableEntry[] = [];
  for (const value of covering) {
    const { dnsPatterns } = ruleSet.rules[value];
    if (dnsPatterns === null) {
      entries.push({ pattern: { kind: 'any' }, value });
      continue;
    }
    for (const one of dnsPatterns) for (const pattern of patternsOf(one, 'dns')) entries.push({ pattern, value });
  }
  return NameTable.compile(entries);
}

function serverRows(
  snapshot: Snapshot,
  identityByAddress: ReadonlyMap<string, number>,
): { rows: ServerRow[]; table: AddressTable } {
  const servicesByAddress = new Map<string, number[]>();
  snapshot.services.forEach((service, index) => {
    for (const address of service.addresses) {
      const list = servicesByAddress.get(address);
      if (list === undefined) servicesByAddress.set(address, [index]);
      else list.push(index);
    }
  });
  const rows: ServerRow[] = [{ identity: RESERVED_IDENTITY.world, services: [] }];
  const rowByKey = new Map<string, number>();
  const entries: { address: string; row: number }[] = [];
  for (const address of new Set([...identityByAddress.keys(), ...servicesByAddress.keys()])) {
    const identity = identityByAddress.get(address) ?? RESERVED_IDENTITY.unknown;
    const services = servicesByAddress.get(address) ?? [];
    const key = `${identity}/${services.join()}`;
    let row = rowByKey.get(key);
    if (row === undefined) {
      row = rows.length;
      rows.push({ identity, services });
      rowByKey.set(key, row);
    }
    entries.push({ address, row });
  }
  return { rows, table: new AddressTable(entries) };
}

function mixKey(a: number, b: number, c: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ b ^ (h >>> 13), 0xc2b2ae35);
  h = Math.imul(h ^ c ^ (h >>> 16), 0x27d4eb2f);
  return h ^ (h >>> 15);
}

/**
 * The desired state of the kernel's tables, as data: what the leader writes, and what two of its states differ by.
 *
 * Invariant: chains that are no hook's are named by what is in them (`ChainStore`), so a chain never changes: another takes its place.
 * Texts are nft's own; equal texts mean equal rules.
 */
import { createHash } from 'node:crypto';

export interface Program {
  /** By family and name; a table that is not among them must not be there. */
  readonly tables: readonly TableSpec[];
}

export interface TableSpec {
  readonly family: 'inet' | 'bridge' | 'netdev';
  readonly name: string;
  /** Rates of log lines: text between the braces. */
  readonly limits: ReadonlyMap<string, string>;
  readonly sets: ReadonlyMap<string, SetSpec>;
  readonly maps: ReadonlyMap<string, MapSpec>;
  readonly chains: ReadonlyMap<string, ChainSpec>;
}

export interface ChainSpec {
  /** `type filter hook ... priority ...; policy accept;`; null for a chain that is jumped to. */
  readonly hook: string | null;
  readonly rules: readonly string[];
}

export interface SetSpec {
  /** nft's name of it; or a place in the packet, such as `@th,64,128`. */
  readonly type: string;
  /** `timeout`: its elements are others' to write (addresses that DNS told), and are never touched but where the set begins. */
  readonly flag: 'interval' | 'timeout' | null;
  readonly elements: ReadonlySet<string>;
}

/** Verdict map. */
export interface MapSpec {
  /** Of the keys. */
  readonly type: string;
  readonly elements: ReadonlyMap<string, string>;
}

/** An address that is open. */
export interface OpenElement {
  readonly address: string;
  /** Grant scope endpoint: the pod's address. */
  readonly pod?: string;
  /** Time left; from 1. */
  readonly timeoutMs: number;
}

const NAME_DIGITS = 16;

/** 16 hex digits of the content's SHA-256. */
export function contentName(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, NAME_DIGITS);
}

/** Chains of one table, named by their content. */
export class ChainStore {
  readonly chains = new Map<string, ChainSpec>();

  /** Name of the chain that has these rules. */
  add(prefix: string, rules: readonly string[]): string {
    const name = `${prefix}-${contentName(rules.join('\n'))}`;
    if (!this.chains.has(name)) this.chains.set(name, { hook: null, rules });
    return name;
  }

  /** One whose name is known ahead; its rules may differ from program to program. */
  fix(name: string, rules: readonly string[]): string {
    this.chains.set(name, { hook: null, rules });
    return name;
  }

  hook(name: string, hook: string, rules: readonly string[]): void {
    this.chains.set(name, { hook: `type filter hook ${hook}; policy accept;`, rules });
  }
}

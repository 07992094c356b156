/**
 * Programs as nft's text: one transaction each.
 *
 * Invariant: `changeText(a, b)` on a kernel that has `a` leaves what `wholeText(b)` leaves, but that elements of sets that DNS fills
 * stay where the set stays; with `standing`, those of a node's sets stay in `wholeText`, too. Text is made of what the program holds, which is numbers, hashes, canonical addresses and names of
 * interfaces: nothing that a pod's author writes.
 */
import { isOfPods } from '../fqdn-groups.js';
import { TABLE } from '../names.js';
import type { ChainSpec, MapSpec, OpenElement, Program, SetSpec, TableSpec } from './program.js';

export type OpenElements = Pick<ReadonlyMap<string, readonly OpenElement[]>, 'get'>;

/** Names of what a table holds. */
export interface StandingTable {
  readonly chains: readonly string[];
  readonly maps: readonly string[];
  readonly sets: readonly string[];
  readonly limits: readonly string[];
}

/**
 * One transaction that replaces whatever is there. `open`: what is open by now, by the set's name. `standing`: what the main table holds; its
 * sets that DNS fills stay then, with addresses that have been opened, and told to clients, a moment ago and are not known here yet.
 */
export function wholeText(program: Program, open: OpenElements, standing: StandingTable | null = null): string {
  return program.tables.map((table) => {
    const isMain = table.family === TABLE.family && table.name === TABLE.name;
    return (isMain && standing !== null ? clearTable(table, standing) : deleteTable(table)) + fillTable(table, open);
  }).join('');
}

/** One transaction that leads from `before` to `after`; '' where they are equal. Sets that DNS fills are written where they begin. */
export function changeText(before: Program, after: Program, open: OpenElements): string {
  const old = new Map(before.tables.map((table) => [tableName(table), table]));
  const texts = after.tables.map((table) => {
    const was = old.get(tableName(table));
    old.delete(tableName(table));
    return was === undefined ? deleteTable(table) + fillTable(table, open) : changeTable(was, table, open);
  });
  return [...texts, ...[...old.values()].map(deleteTable)].join('');
}

/** Deletes the program's tables, whether or not they are there. */
export function removalText(tables: readonly Pick<TableSpec, 'family' | 'name'>[]): string {
  return tables.map(deleteTable).join('');
}

function tableName({ family, name }: Pick<TableSpec, 'family' | 'name'>): string {
  return `${family} ${name}`;
}

/** What is not there can't be deleted, so it is added before. */
function deleteTable(table: Pick<TableSpec, 'family' | 'name'>): string {
  return `add table ${tableName(table)}\ndelete table ${tableName(table)}\n`;
}

/** All but the sets that stay: what nothing uses any more goes last. A pod's own elements are for its address, which may be another's by now. */
function clearTable(table: TableSpec, { chains, maps, sets, limits }: StandingTable): string {
  const at = tableName(table);
  const stays = (name: string): boolean => table.sets.get(name)?.flag === 'timeout' && !isOfPods(name);
  const remove = (kind: string, names: readonly string[]): string => names.map((name) => `delete ${kind} ${at} ${name}\n`).join('');
  return `flush table ${at}\n${remove('map', maps)}${remove('chain', chains)}${remove('set', sets.filter((name) => !stays(name)))}${remove('limit', limits)}`;
}

function fillTable(table: TableSpec, open: OpenElements): string {
  const lines = [`table ${tableName(table)} {`];
  for (const [name, text] of table.limits) lines.push(`limit ${name} { ${text} }`);
  for (const [name, set] of table.sets) lines.push(`set ${name} ${setText(set, openTexts(open.get(name)))}`);
  for (const [name, map] of table.maps) lines.push(`map ${name} ${mapText(map)}`);
  for (const [name, { hook, rules }] of table.chains) lines.push(`chain ${name} {`, ...(hook === null ? [] : [hook]), ...rules, '}');
  return `${lines.join('\n')}\n}\n`;
}

/** First what is new, then what leads there, then what nothing leads to any more. */
function changeTable(before: TableSpec, after: TableSpec, open: OpenElements): string {
  const at = tableName(after);
  const lines: string[] = [];
  for (const [name, text] of after.limits) if (!before.limits.has(name)) lines.push(`add limit ${at} ${name} { ${text} }`);
  for (const [name, set] of after.sets) {
    const was = before.sets.get(name);
    if (was === undefined) lines.push(`add set ${at} ${name} ${setText(set, openTexts(open.get(name)))}`);
    else if (set.flag !== 'timeout') lines.push(...elementLines(`${at} ${name}`, missing(was.elements, set.elements), missing(set.elements, was.elements)));
  }
  const fresh = [...after.chains].filter(([name]) => !before.chains.has(name));
  const changed = [...after.chains].filter(([name, chain]) => isOtherChain(before.chains.get(name), chain));
  lines.push(...fresh.map(([name, { hook }]) => `add chain ${at} ${name}${hook === null ? '' : ` { ${hook} }`}`));
  for (const [name, { hook }] of changed) {
    const was = before.chains.get(name)!.hook;
    // A port's link came again under another name.
    if (was !== hook) lines.push(...deleteHook(at, name), `add chain ${at} ${name} { ${hook} }`);
    else lines.push(`flush chain ${at} ${name}`);
  }
  for (const [name, map] of after.maps) if (!before.maps.has(name)) lines.push(`add map ${at} ${name} ${mapText({ ...map, elements: new Map() })}`);
  for (const [name, { rules }] of [...fresh, ...changed]) lines.push(...rules.map((rule) => `add rule ${at} ${name} ${rule}`));
  for (const [name, map] of after.maps) lines.push(...mapLines(`${at} ${name}`, before.maps.get(name), map));
  const gone = [...before.chains].filter(([name]) => !after.chains.has(name));
  // They may lead to each other.
  for (const [name, { hook }] of gone) lines.push(...(hook === null ? [`flush chain ${at} ${name}`] : deleteHook(at, name)));
  for (const [name, { hook }] of gone) if (hook === null) lines.push(`delete chain ${at} ${name}`);
  for (const name of before.maps.keys()) if (!after.maps.has(name)) lines.push(`delete map ${at} ${name}`);
  for (const name of before.sets.keys()) if (!after.sets.has(name)) lines.push(`delete set ${at} ${name}`);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** A port's chain goes with its link, at a time that nobody here knows. */
function deleteHook(at: string, name: string): string[] {
  return [`add chain ${at} ${name}`, `flush chain ${at} ${name}`, `delete chain ${at} ${name}`];
}

function isOtherChain(before: ChainSpec | undefined, after: ChainSpec): boolean {
  if (before === undefined) return false;
  return before.hook !== after.hook || before.rules.length !== after.rules.length || before.rules.some((rule, index) => rule !== after.rules[index]);
}

function mapLines(at: string, before: MapSpec | undefined, after: MapSpec): string[] {
  const old = before?.elements ?? new Map<string, string>();
  const deleted = [...old].filter(([key, verdict]) => after.elements.get(key) !== verdict).map(([key]) => key);
  const added = [...after.elements].filter(([key, verdict]) => old.get(key) !== verdict).map(([key, verdict]) => `${key} : ${verdict}`);
  return elementLines(at, deleted, added);
}

function elementLines(at: string, deleted: readonly string[], added: readonly string[]): string[] {
  return [
    ...(deleted.length === 0 ? [] : [`delete element ${at} { ${deleted.join(', ')} }`]),
    ...(added.length === 0 ? [] : [`add element ${at} { ${added.join(', ')} }`]),
  ];
}

/** Of `all`, what is not in `known`. */
function missing(all: ReadonlySet<string>, known: ReadonlySet<string>): string[] {
  return all === known ? [] : [...all].filter((one) => !known.has(one));
}

function setText({ type, flag, elements }: SetSpec, open: readonly string[]): string {
  // What has no type of its own is a place in the packet.
  return `{ ${type.startsWith('@') ? 'typeof' : 'type'} ${type};${flag === null ? '' : ` flags ${flag};`}${elementsText(flag === 'timeout' ? open : [...elements])} }`;
}

function mapText({ type, elements }: MapSpec): string {
  return `{ type ${type} : verdict;${elementsText([...elements].map(([key, verdict]) => `${key} : ${verdict}`))} }`;
}

function elementsText(elements: readonly string[]): string {
  return elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} };`;
}

function openTexts(elements: readonly OpenElement[] = []): string[] {
  return elements.map(({ address, pod, timeoutMs }) => `${pod === undefined ? '' : `${pod} . `}${address} timeout ${Math.max(1, Math.round(timeoutMs))}ms`);
}

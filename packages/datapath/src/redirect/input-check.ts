/**
 * Does a firewall of the node drop redirected DNS? It arrives as if it were this node's own, so rules of the INPUT hook, made for the
 * node, judge it. Packets are counted before all of these rules and behind them.
 *
 * Invariant: counts alone are looked at; nothing is let through that a firewall drops. A kind of packet of which some come through is not
 * complained of: a firewall that drops some on purpose knows better.
 */
import { readFile } from 'node:fs/promises';
import { NETLINK, netlinkExchange } from 'node-reuseport';
import { attributesOf, message, messagesOf, NLM_F, textBytes, textOf } from '../links/netlink-bytes.js';
import { INPUT_TABLE } from '../names.js';
import { applyNft, readNft } from '../nft.js';

const FIRST = -300;
const LAST = 300;
/** So many have come, and none has passed. */
const ARRIVALS_MIN = 3;
const KINDS = [
  { key: 'udp4', name: 'UDP over IPv4', match: 'meta nfproto ipv4 meta l4proto udp' },
  { key: 'tcp4', name: 'TCP over IPv4', match: 'meta nfproto ipv4 meta l4proto tcp' },
  { key: 'udp6', name: 'UDP over IPv6', match: 'meta nfproto ipv6 meta l4proto udp' },
  { key: 'tcp6', name: 'TCP over IPv6', match: 'meta nfproto ipv6 meta l4proto tcp' },
] as const;

const GET_OBJECT = (10 << 8) | 19;
const FAMILY_INET = 1;
const OBJECT = { table: 1, name: 2, data: 4 } as const;
const COUNTER_PACKETS = 2;
const DEADLINE_MS = 2000;
const BYTES_MAX = 1 << 20;
const CHAINS_NAMED_MAX = 8;

/** Packets by counter: `arrived-udp4`, `passed-udp4`, … */
type Counts = ReadonlyMap<string, number>;

export class InputCheck {
  private readonly mark: string;
  private before: Counts | null = null;
  private problem: string | null = null;

  /** `mark`: of redirected packets. */
  constructor(mark: number) {
    this.mark = `0x${mark.toString(16)}`;
  }

  /** What drops redirected DNS, in a sentence; null: nothing that was seen. */
  get found(): string | null {
    return this.problem;
  }

  /** Counts since the look before. `isWriter`: has the counters made where they are missing. @throws AppError UNAVAILABLE by nft. */
  async look(isWriter: boolean): Promise<void> {
    const now = await counts();
    if (now.size < 2 * KINDS.length) {
      this.before = null;
      if (isWriter) await applyNft(counterText(this.mark));
      return;
    }
    const { before } = this;
    this.before = now;
    if (before === null) return;
    const grown = (key: string): number => (now.get(key) ?? 0) - (before.get(key) ?? 0);
    const dropped = KINDS.filter(({ key }) => grown(`arrived-${key}`) >= ARRIVALS_MIN && grown(`passed-${key}`) === 0);
    if (dropped.length > 0) {
      const kinds = dropped.map(({ name }) => name).join(', ');
      this.problem = `a firewall of this node drops redirected DNS (${kinds}) in the hook input: ${await suspects()}. Have it accept packets with the mark ${this.mark}/${this.mark}`;
    } else if (KINDS.some(({ key }) => grown(`passed-${key}`) > 0)) {
      this.problem = null;
    }
  }
}

function counterText(mark: string): string {
  const table = `${INPUT_TABLE.family} ${INPUT_TABLE.name}`;
  const chain = (name: string, prefix: string, priority: number): string[] => [
    `chain ${name} {`,
    `type filter hook input priority ${priority}; policy accept;`,
    ...KINDS.map(({ key, match }) => `meta mark & ${mark} == ${mark} ${match} counter name "${prefix}-${key}"`),
    '}',
  ];
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    ...KINDS.flatMap(({ key }) => [`counter arrived-${key} { }`, `counter passed-${key} { }`]),
    ...chain('before', 'arrived', FIRST),
    ...chain('behind', 'passed', LAST),
    '}',
    '',
  ].join('\n');
}

/** Empty where the table is not there. */
async function counts(): Promise<Counts> {
  const found = new Map<string, number>();
  const request = message(GET_OBJECT, { flags: NLM_F.dump }, Uint8Array.of(FAMILY_INET, 0, 0, 0), [[OBJECT.table, textBytes(INPUT_TABLE.name)]]);
  const reply = await netlinkExchange({ protocol: NETLINK.netfilter, request, deadlineMs: DEADLINE_MS, bytesMax: BYTES_MAX });
  if (reply.errno !== 0) return found;
  for (const { body } of messagesOf(reply.messages)) {
    const attributes = attributesOf(body, 4);
    const data = attributes.get(OBJECT.data);
    // Not every kernel keeps to the table that was asked for.
    if (data === undefined || textOf(attributes.get(OBJECT.table)) !== INPUT_TABLE.name) continue;
    const packets = attributesOf(data).get(COUNTER_PACKETS);
    if (packets?.length === 8) found.set(textOf(attributes.get(OBJECT.name)), Number(new DataView(packets.buffer, packets.byteOffset).getBigUint64(0)));
  }
  return found;
}

interface ListedChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly prio?: number;
  readonly policy?: string;
}

/** Who could it be: others' chains of the hook between the two counts, those that drop by default first. */
async function suspects(): Promise<string> {
  const listed = JSON.parse(await readNft(['-j', 'list', 'chains'])) as { readonly nftables: readonly { readonly chain?: ListedChain }[] };
  const chains = listed.nftables
    .flatMap(({ chain }) => (chain === undefined ? [] : [chain]))
    .filter(({ hook, prio = 0, table }) => hook === 'input' && prio > FIRST && prio < LAST && !table.startsWith('tandem'))
    .sort((a, b) => Number(b.policy === 'drop') - Number(a.policy === 'drop'))
    .map(({ family, table, name, policy }) => `chain ${name} of table ${family} ${table}${policy === 'drop' ? ', which drops by default' : ''}`);
  const legacy = (await Promise.all([legacyTables('/proc/net/ip_tables_names', 'iptables'), legacyTables('/proc/net/ip6_tables_names', 'ip6tables')])).flat();
  const all = [...chains, ...legacy];
  if (all.length === 0) return 'no chain of nftables or iptables is to be seen there';
  return `${all.slice(0, CHAINS_NAMED_MAX).join('; ')}${all.length > CHAINS_NAMED_MAX ? `; ${all.length - CHAINS_NAMED_MAX} more` : ''}`;
}

/** Rules of the old kind, which nft does not list. */
async function legacyTables(path: string, program: string): Promise<string[]> {
  try {
    const names = (await readFile(path, 'latin1')).trim().split('\n');
    return names.filter((name) => name === 'filter' || name === 'mangle').map((name) => `chain INPUT of ${program}-legacy -t ${name}`);
  } catch {
    return [];
  }
}

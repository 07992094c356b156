/**
 * The policy rules and routes by which redirected DNS comes to the proxy's sockets instead of being forwarded.
 *
 * What nftables has marked is looked up in a table that says "this is for us", by one rule for each protocol and range of ports: other
 * software may use the same bit of the mark. A second rule, for lookups in the other direction, keeps rp_filter working where
 * src_valid_mark has it look with the mark: without it, the way back to the pod would seem to lead to this node itself.
 *
 * Invariant: ours bear ORIGIN, and nothing else is touched. What is missing is added before what is too much is removed; whatever an
 * earlier run has left is taken over or removed.
 */
import { AppError } from '@tandem/core';
import { NETLINK, netlinkExchange } from 'node-reuseport';
import { joined } from '../links/netlink-bytes.js';
import { replyText } from '../links/reply.js';
import { TABLE_MAIN } from '../links/route-messages.js';
import {
  addRoute, addRule, deleteRoute, deleteRule, dumpRoutes, dumpRules, ownRules, tableRoutes, type Family, type LocalRoute, type Ports, type Rule,
} from './rule-messages.js';

export interface RedirectRules {
  readonly families: readonly Family[];
  /** Bit of the packet mark. */
  readonly mark: number;
  /** Routing table that nobody else uses. */
  readonly table: number;
  /** Ports of DNS: disjoint, rising. For more than RANGES_MAX ranges, or with the last port, rules without ports stand for them. */
  readonly ports: readonly Ports[];
  /** Answers to the pods' own addresses are led here, too: the proxy asks from those. */
  readonly hasAnswers: boolean;
}

/** Every packet of the node goes through them: some microseconds at the most. */
const RANGES_MAX = 8;
/** The kernel's rules know none above. */
const RULE_PORT_MAX = 65534;

/** Before the rules of routing daemons and VPNs, after that of the kernel's own addresses (0). This one and the next. */
export const PRIORITY = 53;
const PROTOCOLS = { 17: 'UDP', 6: 'TCP' } as const;
const DEADLINE_MS = 5000;
const BYTES_MAX = 16 << 20;
const TRIES = 8;
const ERRNO = { EPERM: 1, ENOENT: 2, ESRCH: 3, EAGAIN: 11, EACCES: 13, EEXIST: 17, EINVAL: 22, ENETDOWN: 100, EAFNOSUPPORT: 97, EOPNOTSUPP: 95 } as const;

interface Change {
  readonly text: string;
  readonly family: Family;
  readonly request: (sequence: number) => Uint8Array;
  /** Errors that mean that it is so already. */
  readonly done: readonly number[];
}

/**
 * Has it all there, and nothing of an earlier run beside it. Returns what had to be done, one sentence part each: empty where
 * all was well, so it also repairs.
 * @throws AppError UNAVAILABLE: no privilege, loopback is down, a family is not there, or the table is somebody else's.
 */
export async function setUpRedirect(options: RedirectRules): Promise<readonly string[]> {
  return await perform(await planned(options));
}

/** Removes what any run has left. Returns what was there. @throws AppError UNAVAILABLE without the privilege. */
export async function removeRedirect(): Promise<readonly string[]> {
  const changes: Change[] = [];
  for (const family of [4, 6] as const) {
    changes.push(...(await rulesThere(family)).map((rule) => removal(rule)));
    changes.push(...(await routesThere(family, null)).map((route) => routeRemoval(route)));
  }
  return await perform(changes);
}

async function planned({ families, table, ...rules }: RedirectRules): Promise<Change[]> {
  const [adds, removals]: [Change[], Change[]] = [[], []];
  for (const family of [4, 6] as const) {
    const isWanted = families.includes(family);
    const wanted = isWanted ? wantedRules(family, { table, ...rules }) : [];
    const there = await rulesThere(family);
    const keys = { wanted: new Set(wanted.map(ruleKey)), there: new Set(there.map(ruleKey)) };
    const routes = await routesThere(family, isWanted ? table : null);
    // The route first: a rule that leads nowhere would let packets go on to the next.
    if (isWanted && !routes.some((route) => route.table === table)) adds.push(routeAddition({ family, table }));
    adds.push(...wanted.filter((rule) => !keys.there.has(ruleKey(rule))).map((rule) => addition(rule)));
    removals.push(...there.filter((rule) => !keys.wanted.has(ruleKey(rule))).map((rule) => removal(rule)));
    removals.push(...routes.filter((route) => !isWanted || route.table !== table).map((route) => routeRemoval(route)));
  }
  return [...adds, ...removals];
}

function wantedRules(family: Family, { mark, table, ports, hasAnswers }: Omit<RedirectRules, 'families'>): Rule[] {
  const isEach = ports.length <= RANGES_MAX && ports.every(({ first, last }) => first > 0 && last <= RULE_PORT_MAX);
  const ranges = isEach ? ports : [null];
  return Object.keys(PROTOCOLS).flatMap((protocol) => ranges.flatMap((range): Rule[] => {
    const questions = { sourcePorts: null, destinationPorts: range };
    const answers = { sourcePorts: range, destinationPorts: null };
    const common = { family, mark, mask: mark, protocol: Number(protocol) };
    const here = { ...common, priority: PRIORITY + 1, table, inputInterface: '' };
    // What looks the other way is as if it came in by loopback, with the ports changed over. IPv6 has no rp_filter of this kind.
    const back = { ...common, priority: PRIORITY, table: TABLE_MAIN, inputInterface: 'lo' };
    const isBoth = hasAnswers && range !== null;
    return [
      ...(family === 6 ? [] : [{ ...back, ...answers }]),
      ...(family === 4 && isBoth ? [{ ...back, ...questions }] : []),
      { ...here, ...questions },
      ...(isBoth ? [{ ...here, ...answers }] : []),
    ];
  }));
}

function ruleKey(rule: Rule): string {
  const { family, priority, table, mark, mask, protocol, inputInterface, sourcePorts, destinationPorts } = rule;
  return JSON.stringify([family, priority, table, mark, mask, protocol, inputInterface, sourcePorts, destinationPorts]);
}

function ruleText({ family, priority, protocol, sourcePorts, destinationPorts }: Rule): string {
  const ports = destinationPorts ?? sourcePorts;
  const name = protocol === 17 || protocol === 6 ? PROTOCOLS[protocol] : `protocol ${protocol}`;
  const range = ports === null ? 'any port' : ports.first === ports.last ? `port ${ports.first}` : `ports ${ports.first}-${ports.last}`;
  return `IPv${family} rule ${priority} for ${name} ${range}`;
}

function addition(rule: Rule): Change {
  return { text: `added the ${ruleText(rule)}`, family: rule.family, request: (sequence) => addRule(rule, sequence), done: [ERRNO.EEXIST] };
}

function removal(rule: Rule): Change {
  return { text: `removed the ${ruleText(rule)}`, family: rule.family, request: (sequence) => deleteRule(rule, sequence), done: [ERRNO.ENOENT] };
}

function routeAddition(route: LocalRoute): Change {
  return { text: `added the IPv${route.family} route of table ${route.table}`, family: route.family, request: (sequence) => addRoute(route, sequence), done: [] };
}

function routeRemoval(route: LocalRoute): Change {
  return { text: `removed the IPv${route.family} route of table ${route.table}`, family: route.family, request: (sequence) => deleteRoute(route, sequence), done: [ERRNO.ESRCH, ERRNO.ENOENT] };
}

async function rulesThere(family: Family): Promise<Rule[]> {
  return ownRules(family, await ask(dumpRules(family), family));
}

/** Ours, of every table. `table`: one in which there must be nobody else's. */
async function routesThere(family: Family, table: number | null): Promise<LocalRoute[]> {
  if (table !== null) {
    const alien = tableRoutes(await ask(dumpRoutes(family, { table }), family)).find((route) => route.table === table && !route.isOurs);
    if (alien !== undefined) {
      const remedy = alien.isLocalDefault ? 'remove them, or name another by --route-table' : 'name another by --route-table';
      throw new AppError('UNAVAILABLE', `routing table ${table} has routes that are not Tandem's (IPv${family}): ${remedy}`, { details: { table } });
    }
  }
  const ours = tableRoutes(await ask(dumpRoutes(family, { isOurs: true }), family)).filter(({ isOurs, isLocalDefault }) => isOurs && isLocalDefault);
  return ours.map((route) => ({ family, table: route.table }));
}

/** A family or table that is not there has nothing in it. */
async function ask(request: Uint8Array, family: Family): Promise<Uint8Array> {
  for (let tries = 1; ; tries++) {
    const reply = await netlinkExchange({ protocol: NETLINK.route, request, deadlineMs: DEADLINE_MS, bytesMax: BYTES_MAX });
    if (reply.errno === 0) return reply.messages;
    if (reply.errno === ERRNO.ENOENT || isNoFamily(reply.errno)) return new Uint8Array();
    if (reply.errno !== ERRNO.EAGAIN || tries === TRIES) throw new AppError('UNAVAILABLE', `the kernel does not tell its IPv${family} rules and routes: ${replyText(reply)}`);
  }
}

function isNoFamily(errno: number): boolean {
  return errno === ERRNO.EAFNOSUPPORT || errno === ERRNO.EOPNOTSUPP;
}

/** One by one: an error is then of the change that it is of. */
async function perform(changes: readonly Change[]): Promise<string[]> {
  const performed: string[] = [];
  for (const { text, family, request, done } of changes) {
    const reply = await netlinkExchange({ protocol: NETLINK.route, request: joined([request(1)]), deadlineMs: DEADLINE_MS, bytesMax: BYTES_MAX });
    if (reply.errno !== 0 && !done.includes(reply.errno)) throw refused({ text, family }, reply);
    performed.push(text);
  }
  return performed;
}

function refused({ text, family }: Pick<Change, 'text' | 'family'>, reply: { readonly errno: number; readonly message: string }): AppError {
  const why = `DNS cannot be redirected; the kernel has not ${text}`;
  if (reply.errno === ERRNO.EPERM) return new AppError('UNAVAILABLE', `${why}: CAP_NET_ADMIN is needed; run as root or give the capability`);
  if (reply.errno === ERRNO.ENETDOWN) return new AppError('UNAVAILABLE', `${why}: loopback is down; set it up by ip link set lo up`);
  if (reply.errno === ERRNO.EACCES && family === 6) {
    return new AppError('UNAVAILABLE', `${why}: IPv6 is switched off on loopback (net.ipv6.conf.lo.disable_ipv6); listen on IPv4 only, as by --listen 127.0.0.153:53, or switch it on`);
  }
  if (isNoFamily(reply.errno)) return new AppError('UNAVAILABLE', `${why}: this kernel has no policy routing for IPv${family}; listen on the other family only (--listen)`);
  return new AppError('UNAVAILABLE', `${why}: ${replyText(reply)}`);
}

/**
 * Text → `Settings`. Collects every complaint before it refuses, so that one start shows them all. The order of the
 * sources (argv before environment before file) is the caller's: it hands over at most one raw value per setting.
 */
import { parsePrefix } from '../policy/cidr.js';
import { AppError, type AppErrorCode } from './app-error.js';
import type { Role } from './seams.js';
import {
  FILES_MAX, flagOf, LISTEN_ADDRESSES_MAX, PACKET_MARK_MAX, POD_CIDRS_MAX, rangeTextOf, SEARCH_DOMAINS_CHARACTERS_MAX, SEARCH_DOMAINS_MAX, SETTINGS, UPSTREAM_SOCKETS_MAX,
  type SettingFacts, type SettingRow, type Settings,
} from './settings.js';
import { formatSocketAddress, parseSocketAddress, type SocketAddress } from './socket-address.js';

/** A value as it was written. */
export interface RawSetting {
  /** Of a row in `SETTINGS`. */
  readonly name: string;
  /** One text; several only for a list. */
  readonly texts: readonly string[];
  /** How a complaint names the place: `--slots`, `TANDEM_SLOTS`, `tandem.yaml:12: slots`. */
  readonly where: string;
  /**
   * Decides the exit code: a wrong flag is USAGE, all else CONFIGURATION. A fallback is the program's own, and may stand for what
   * is only known later: an upstream of this kind is not held against --listen.
   */
  readonly from: 'argv' | 'environment' | 'file' | 'fallback';
}

export interface ParsedSettings {
  readonly settings: Settings;
  /** One line per accepted setting that changes nothing here; for the log. */
  readonly notices: readonly string[];
}

/** What is wrong with one piece of configuration; the message names the place. */
export interface Complaint {
  readonly code: Extract<AppErrorCode, 'USAGE' | 'CONFIGURATION'>;
  readonly message: string;
}

/** Of several complaints the first of these gives the exit code. */
const GRAVEST_FIRST: readonly Complaint['code'][] = ['USAGE', 'CONFIGURATION'];

/** An IPv6 socket here takes IPv6 alone, so each covers its own family. */
const WILDCARDS: readonly string[] = ['0.0.0.0', '::'];
const LOOPBACK = { 4: '127.0.0.1', 6: '::1' } as const;

/** Up to 63 characters of a label, no `-` at its ends. */
const LABEL = /^(?!-)[-_0-9A-Za-z]{1,63}(?<!-)$/;

type Value = string | number | boolean | SocketAddress | readonly SocketAddress[] | readonly string[] | null;

/**
 * `earlier`: what was wrong before there were raw values, such as an unknown key in a file; it comes first in the list.
 * @throws AppError USAGE or CONFIGURATION; its message has one line per complaint.
 */
export function parseSettings(raws: readonly RawSetting[], facts: SettingFacts, earlier: readonly Complaint[] = []): ParsedSettings {
  const complaints: Complaint[] = [...earlier];
  const notices: string[] = [];
  const fields: Record<string, Value> = {};
  const byName = new Map(raws.map((raw) => [raw.name, raw]));

  for (const row of SETTINGS) {
    const raw = byName.get(row.name);
    if (!appliesTo(row, facts.role)) {
      if (raw?.from === 'argv') {
        complaints.push({ code: 'USAGE', message: `${raw.where} is a setting of ${row.roles!.join(', ')}, not of ${facts.role}` });
      }
      if (row.field !== undefined) fields[row.field] = nothingOf(row);
      continue;
    }
    if (row.field === undefined) {
      const complaint = raw === undefined ? null : refuseWithoutField(row, raw);
      if (complaint !== null) complaints.push(complaint);
      else if (raw !== undefined && row.status === 'notice') notices.push(`${raw.where} is accepted and changes nothing: ${row.why}`);
      continue;
    }
    // Other defaults may lie in the run-dir.
    const value = valueOf(row, raw, known(facts, fields));
    if (!isComplaint(value)) fields[row.field] = value.value;
    // Where a file could not be read, what is missing may stand in it.
    else if (raw !== undefined || earlier.length === 0) complaints.push(value);
  }
  const settings = { role: facts.role, ...fields } as unknown as Settings;
  if (complaints.length === 0) {
    if (byName.get('upstream')?.from !== 'fallback') complaints.push(...circles(settings, facts));
    complaints.push(...contradictions(settings));
  }
  if (complaints.length > 0) {
    const code = GRAVEST_FIRST.find((one) => complaints.some((complaint) => complaint.code === one))!;
    throw new AppError(code, complaints.map((complaint) => complaint.message).join('\n'));
  }
  return { settings: Object.freeze(settings), notices };
}

/** Later defaults may depend on earlier settings. */
function known(facts: SettingFacts, { runDir, mode }: Readonly<Record<string, Value>>): SettingFacts {
  return {
    ...facts,
    ...(typeof runDir === 'string' ? { runDir } : {}),
    ...(mode === 'explicit' || mode === 'transparent' ? { mode } : {}),
  };
}

export function settingByName(name: string): SettingRow | null {
  return SETTINGS.find((row) => row.name === name) ?? null;
}

function appliesTo(row: SettingRow, role: Role): boolean {
  return row.roles === undefined || row.roles.includes(role);
}

/** A setting that is kept nowhere: its value must make sense. */
function refuseWithoutField(row: SettingRow, raw: RawSetting): Complaint | null {
  const text = raw.texts.join(',');
  const atDefault = typeof row.default === 'string' ? row.default : null;
  if (text === '' && atDefault === null) return null;
  const value = readValue(row, raw);
  return isComplaint(value) ? value : null;
}

/** Of a setting that this member has not. */
function nothingOf({ kind }: SettingRow): Value {
  if (kind === 'boolean') return false;
  return kind === 'names' || kind === 'files' || kind === 'cidrs' ? [] : null;
}

function valueOf(row: SettingRow, raw: RawSetting | undefined, facts: SettingFacts): { value: Value } | Complaint {
  if (raw === undefined) {
    const text = typeof row.default === 'function' ? row.default(facts) : row.default;
    if (text !== null) return readValue(row, { name: row.name, texts: [text], where: `default of ${flagOf(row)}`, from: 'file' });
    if (row.kind === 'names' || row.kind === 'files' || row.kind === 'cidrs') return { value: [] };
    if (row.name === 'upstream' && facts.mode === 'transparent') return { value: [] };
    if (row.kind !== 'addresses') return { value: null };
    return { code: 'CONFIGURATION', message: `${flagOf(row)} is missing, and there is no ${row.defaultText ?? 'default'}` };
  }
  return readValue(row, raw);
}

function readValue(row: SettingRow, raw: RawSetting): { value: Value } | Complaint {
  if (row.kind === 'addresses') return readAddresses(row, raw);
  if (row.kind === 'names') return readNames(row, raw);
  if (row.kind === 'files') return readFiles(row, raw);
  if (row.kind === 'cidrs') return readCidrs(row, raw);
  if (raw.texts.length !== 1) return bad(row, raw, raw.texts.join(','), 'one value');
  const text = raw.texts[0];
  if (row.kind === 'address or socket' && text === '') return { value: null };
  const value = readOne(row, text);
  return value === null ? bad(row, raw, text) : { value };
}

/** The value of a single text, or null if the row does not allow it. */
function readOne(row: SettingRow, text: string): Value {
  switch (row.kind) {
    case 'integer':
      return /^[0-9]{1,10}$/.test(text) && inRange(row, Number(text)) ? Number(text) : null;
    case 'duration': {
      const ms = parseDurationMs(text);
      return ms !== null && inRange(row, ms) ? ms : null;
    }
    case 'boolean':
      return text === 'true' || text === '1' ? true : text === 'false' || text === '0' ? false : null;
    case 'choice':
      return row.choices!.includes(text) ? text : null;
    case 'name':
    case 'names': {
      const name = text.replace(/\.$/, '');
      return inRange(row, name.length) && name.split('.').every((label) => LABEL.test(label)) ? name.toLowerCase() : null;
    }
    case 'prefix':
      return inRange(row, text.length) && /^(?![0-9])[0-9A-Za-z_]*$/.test(text) ? text : null;
    case 'cidrs':
      return text.includes('/') ? (parsePrefix(text)?.cidr ?? null) : null;
    case 'mark': {
      const mark = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i.test(text) ? Number(text) : 0;
      return mark > 0 && mark <= PACKET_MARK_MAX && (mark & (mark - 1)) === 0 ? mark : null;
    }
    case 'text':
    case 'files':
      return inRange(row, text.length) && !/\p{Cc}/u.test(text) ? text : null;
    case 'address':
    case 'addresses': {
      const address = parseSocketAddress(text);
      return address !== null && inRange(row, address.port) ? address : null;
    }
    case 'address or socket':
      return /^unix:[^\p{Cc}]{1,107}$/u.test(text) ? text.slice('unix:'.length) : readOne({ ...row, kind: 'address' }, text);
  }
}

function readAddresses(row: SettingRow, raw: RawSetting): { value: Value } | Complaint {
  const seen = new Map<string, SocketAddress>();
  // A comma separates too: an environment variable holds one text.
  for (const text of raw.texts.flatMap((item) => item.split(','))) {
    const address = readOne(row, text.trim()) as SocketAddress | null;
    if (address === null) return bad(row, raw, text);
    seen.set(formatSocketAddress(address), address);
  }
  if (seen.size === 0 || seen.size > LISTEN_ADDRESSES_MAX) {
    return bad(row, raw, raw.texts.join(','), `1 to ${LISTEN_ADDRESSES_MAX} addresses`);
  }
  return { value: [...seen.values()] };
}

function readNames(row: SettingRow, raw: RawSetting): { value: Value } | Complaint {
  const names = new Set<string>();
  for (const text of raw.texts.flatMap((item) => item.split(','))) {
    const name = readOne(row, text.trim()) as string | null;
    if (name === null) return bad(row, raw, text);
    names.add(name);
  }
  const characters = [...names].join().length;
  if (names.size === 0 || names.size > SEARCH_DOMAINS_MAX || characters > SEARCH_DOMAINS_CHARACTERS_MAX) {
    return bad(row, raw, raw.texts.join(','), `1 to ${SEARCH_DOMAINS_MAX} domains, ${SEARCH_DOMAINS_CHARACTERS_MAX} characters in all`);
  }
  return { value: [...names] };
}

function readCidrs(row: SettingRow, raw: RawSetting): { value: Value } | Complaint {
  const cidrs = new Set<string>();
  for (const text of raw.texts.flatMap((item) => item.split(','))) {
    const cidr = readOne(row, text.trim()) as string | null;
    if (cidr === null) return bad(row, raw, text);
    cidrs.add(cidr);
  }
  return cidrs.size <= POD_CIDRS_MAX ? { value: [...cidrs] } : bad(row, raw, raw.texts.join(','));
}

function readFiles(row: SettingRow, raw: RawSetting): { value: Value } | Complaint {
  const paths: string[] = [];
  for (const text of raw.texts.flatMap((item) => item.split(','))) {
    const path = readOne(row, text) as string | null;
    if (path === null) return bad(row, raw, text);
    paths.push(path);
  }
  return paths.length <= FILES_MAX ? { value: paths } : bad(row, raw, raw.texts.join(','), `1 to ${FILES_MAX} files`);
}

function bad(row: SettingRow, raw: RawSetting, text: string, allowed = rangeTextOf(row)): Complaint {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return {
    code: raw.from === 'argv' ? 'USAGE' : 'CONFIGURATION',
    message: `${raw.where}: ${JSON.stringify(shown)} is not allowed; allowed: ${allowed}`,
  };
}

function inRange(row: SettingRow, value: number): boolean {
  return value >= (row.min ?? -Infinity) && value <= (row.max ?? Infinity);
}

function circles(settings: Settings, facts: SettingFacts): Complaint[] {
  return settings.upstreams.flatMap((upstream): Complaint[] => {
    const listen = settings.listen.find((at) => reaches(upstream, at, facts));
    if (listen === undefined) return [];
    const [from, to] = [formatSocketAddress(upstream), formatSocketAddress(listen)];
    const why = from === to ? 'is also a --listen address' : `is answered by --listen ${to}`;
    return [{ code: 'CONFIGURATION', message: `--upstream ${from} ${why}: queries would go in a circle` }];
  });
}

function contradictions(settings: Settings): Complaint[] {
  const complaints: Complaint[] = [];
  const sockets = settings.upstreams.length * settings.upstreamPorts;
  if (sockets > UPSTREAM_SOCKETS_MAX) {
    const message = `${settings.upstreams.length} upstreams with ${settings.upstreamPorts} ports each (--upstream-ports) need ${sockets} sockets; allowed: at most ${UPSTREAM_SOCKETS_MAX}`;
    complaints.push({ code: 'CONFIGURATION', message });
  }
  return [...complaints, ...sourceGaps(settings), ...modeGaps(settings), ...ciliumGaps(settings), ...pairTlsGaps(settings), ...hubbleTlsGaps(settings)];
}

/** One source says what the policy is; two could say different things. */
function sourceGaps({ kubernetes, manifestsDir, kubeconfig, clusterCidrs }: Settings): Complaint[] {
  const complain = (message: string): Complaint => ({ code: 'USAGE', message });
  if (kubernetes) return manifestsDir === null ? [] : [complain('--kubernetes with --manifests: policy comes from one of them; leave the other out')];
  return [
    ...(kubeconfig === null ? [] : [complain('--kubeconfig without --kubernetes: nothing would be asked of that API server; give both, or leave it out')]),
    ...(clusterCidrs.length === 0 ? [] : [complain('--cluster-cidr without --kubernetes: it is about watches at the API server; give both, or leave it out')]),
  ];
}

/** What needs redirected DNS, and what redirected DNS needs. */
function modeGaps(settings: Settings): Complaint[] {
  const complain = (message: string): Complaint => ({ code: 'CONFIGURATION', message });
  const { mode, upstreams, datapath, listen } = settings;
  if (mode === 'explicit') {
    return [
      ...(datapath === 'none' ? [] : [complain('--datapath nftables without --mode transparent: what the datapath opens is learned from redirected DNS; give both, or --datapath none')]),
      ...(settings.clientAddressUpstream ? [complain('--dnsproxy-enable-transparent-mode without --mode transparent: the address is that of the pod whose DNS is redirected')] : []),
      ...(settings.podCidrs.length === 0 ? [] : [complain('--pod-cidr without --mode transparent: there is nothing that would refuse them')]),
    ];
  }
  const families = new Set(listen.map(({ family }) => family));
  return [
    ...(upstreams.length === 0 ? [] : [complain('--upstream with --mode transparent: each pod\'s query goes to the server that the pod chose; leave it out')]),
    ...(datapath === 'none' && settings.ciliumAgent === null ? [complain('--datapath none with --mode transparent: there would be no redirect; leave it out')] : []),
    ...(families.size === listen.length ? [] : [complain('--listen with --mode transparent: one address of each family is what DNS is redirected to')]),
    ...listen.filter(({ address }) => WILDCARDS.includes(address)).map((at) => complain(`--listen ${formatSocketAddress(at)} with --mode transparent: redirected DNS needs an address of its own, such as 127.0.0.153:53 and [fd53::1]:53`)),
  ];
}

/** Beside Cilium there is one source of policy, one datapath, and nobody who is asked who they are. */
function ciliumGaps({ ciliumAgent, standaloneProxyListen, pairConnect, datapath }: Settings): Complaint[] {
  const complain = (message: string): Complaint => ({ code: 'CONFIGURATION', message });
  const reachable = { '--cilium-agent': ciliumAgent, '--standalone-dns-proxy-listen': standaloneProxyListen };
  return [
    ...Object.entries(reachable).flatMap(([flag, at]) => (at === null || isLoopback(at.address) ? [] : [complain(`${flag} ${formatSocketAddress(at)} is no loopback address: neither side of that contract asks who the other is`)])),
    ...(ciliumAgent !== null && pairConnect !== null ? [complain("--pair-connect with --cilium-agent: policy comes from one of them; leave one out")] : []),
    ...(ciliumAgent !== null && datapath !== 'none' ? [complain('--datapath nftables with --cilium-agent: Cilium redirects and enforces; give --datapath none')] : []),
  ];
}

/** Over TCP the members know each other by certificates alone. */
function pairTlsGaps(settings: Settings): Complaint[] {
  const files = { '--pair-tls-cert': settings.pairTlsCert, '--pair-tls-key': settings.pairTlsKey, '--pair-tls-ca': settings.pairTlsCa };
  const names = Object.keys(files) as (keyof typeof files)[];
  const missing = names.filter((name) => files[name] === null);
  const flag = settings.role === 'agent' ? '--pair-listen' : '--pair-connect';
  const address = settings.role === 'agent' ? settings.pairListen : settings.pairConnect;
  if (address === null) {
    if (missing.length === names.length) return [];
    const given = names.filter((name) => files[name] !== null);
    return [{ code: 'CONFIGURATION', message: `${given.join(' and ')} without ${flag}: the Unix socket has no TLS; give ${flag}, or leave them out` }];
  }
  if (missing.length === 0) return [];
  return [{ code: 'CONFIGURATION', message: `${flag} ${formatSocketAddress(address)} needs ${missing.join(' and ')}: over TCP the members know each other by certificates` }];
}

/** TLS is for the TCP port; a certificate and its key come together, and without them no client can show one. */
function hubbleTlsGaps({ hubbleListen, hubbleTlsCertFile, hubbleTlsKeyFile, hubbleTlsClientCaFiles }: Settings): Complaint[] {
  const given = { '--hubble-tls-cert-file': hubbleTlsCertFile !== null, '--hubble-tls-key-file': hubbleTlsKeyFile !== null, '--hubble-tls-client-ca-files': hubbleTlsClientCaFiles.length > 0 };
  const names = (Object.keys(given) as (keyof typeof given)[]).filter((name) => given[name]);
  if (names.length === 0) return [];
  if (hubbleListen === null || typeof hubbleListen === 'string') {
    return [{ code: 'CONFIGURATION', message: `${names.join(' and ')} without an address in --hubble-listen: the Unix socket has no TLS; give ADDR:PORT, or leave them out` }];
  }
  const missing = (['--hubble-tls-cert-file', '--hubble-tls-key-file'] as const).filter((name) => !given[name]);
  return missing.length === 0 ? [] : [{ code: 'CONFIGURATION', message: `${names.join(' and ')} without ${missing.join(' and ')}: TLS needs both` }];
}

/** Whether what is sent to `upstream` arrives at `listen`, here. */
function reaches(upstream: SocketAddress, listen: SocketAddress, facts: SettingFacts): boolean {
  if (upstream.port !== listen.port || upstream.family !== listen.family) return false;
  // What is sent to the unspecified address goes to the loopback one.
  const to = WILDCARDS.includes(upstream.address) ? LOOPBACK[upstream.family] : upstream.address;
  if (to === listen.address) return true;
  return WILDCARDS.includes(listen.address) && (isLoopback(to) || facts.localAddresses.includes(to));
}

function isLoopback(address: string): boolean {
  return address === LOOPBACK[6] || address.startsWith('127.');
}

function isComplaint(value: { value: Value } | Complaint): value is Complaint {
  return 'message' in value;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000,
};

/** Go's duration text (`100ms`, `1m30s`, `1.5h`, `0`) in milliseconds; null if it is none or negative. */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const part = /([0-9]{1,9}(?:\.[0-9]{1,9})?)(ns|us|µs|μs|ms|s|m|h)/y;
  let totalMs = 0;
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (match === null) return null;
    totalMs += Number(match[1]) * UNIT_MS[match[2]];
  }
  return text === '' ? null : totalMs;
}

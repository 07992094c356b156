/**
 * Where a daemon's settings come from: argv before environment before `--config FILE` before default. Reads the file and
 * resolv.conf; what the texts mean is core's. Every complaint names the place: flag, variable, or file and line.
 */
import { readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import {
  canonicalAddress, defaultTextOf, environmentNameOf, flagOf, formatSocketAddress, nearestName, parseSettings, rangeTextOf,
  SETTINGS, type Complaint, type ParsedSettings, type RawSetting, type Role, type SettingFacts, type SettingRow,
} from '@tandem/core';
import { Command, CommanderError, Option } from 'commander';
import { readConfigFile, type ConfigFile } from './config-file.js';
import { defaultRunDir, defaultStateDir, type Environment } from './paths.js';

export interface LoadRequest {
  readonly role: Role;
  readonly version: string;
  /** Without interpreter and script. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Texts by setting that stand before the defaults, and behind all else, which they are told. */
  readonly fallbacks?: (given: ReadonlyMap<string, RawSetting>) => Readonly<Record<string, string>>;
  /** For tests; `/etc/resolv.conf`. */
  readonly resolvConfPath?: string;
}

export type Loaded =
  /** Print and exit 0. */
  | { readonly kind: 'text'; readonly text: string }
  | ({
    readonly kind: 'settings';
    readonly configFile: string | null;
    /** What was written somewhere, at most one per setting: the source that won. */
    readonly given: readonly RawSetting[];
  } & ParsedSettings);

const VARIABLE_PREFIX = 'TANDEM_';
const CONFIG_VARIABLE = 'TANDEM_CONFIG';
const VARIABLES_SHOWN_MAX = 10;
const RESOLVER_PORT = 53;
const HELP_WIDTH = 100;

/** @throws AppError with all that is wrong in flags, environment, file and values: one line each. */
export function loadSettings(request: LoadRequest): Loaded {
  const flags = readFlags(request);
  if (typeof flags === 'string') return { kind: 'text', text: flags };
  const configFile = flags.given.config?.at(-1) ?? request.env[CONFIG_VARIABLE] ?? null;
  const file = configFile === null ? { raws: [], complaints: [] } : configFrom(configFile, flags.given.config === undefined ? CONFIG_VARIABLE : '--config');
  const raws = new Map([...file.raws, ...fromEnvironment(request.env)].map((raw) => [raw.name, raw]));
  for (const row of SETTINGS) {
    const texts = flags.given[row.name];
    if (texts !== undefined) raws.set(row.name, { name: row.name, texts, where: flagOf(row), from: 'argv' });
  }
  const written = [...raws.values()];
  const fallbacks = Object.entries(request.fallbacks?.(raws) ?? {}).filter(([name]) => !raws.has(name))
    .map(([name, text]): RawSetting => ({ name, texts: [text], where: `--${name}`, from: 'fallback' }));
  const parsed = parseSettings([...written, ...fallbacks], factsOf(request), [...flags.complaints, ...file.complaints]);
  return {
    kind: 'settings', configFile, given: written, settings: parsed.settings,
    notices: [...unknownVariables(request.env), ...parsed.notices],
  };
}

/** `where`: who names the file. */
function configFrom(path: string, where: string): ConfigFile {
  if (path !== '') return readConfigFile(resolve(path), where);
  return { raws: [], complaints: [{ code: 'CONFIGURATION', message: `${where}: "" is not allowed; allowed: the path of a file, or leave it out` }] };
}

interface Flags {
  readonly given: Readonly<Record<string, readonly string[] | undefined>>;
  readonly complaints: readonly Complaint[];
}

/** The flags as written, or the text of `--help` or `--version`. */
function readFlags({ role, version, argv }: LoadRequest): Flags | string {
  const command = commandFor(role, version);
  const output: string[] = [];
  command.configureOutput({ writeOut: (text) => output.push(text), writeErr: () => undefined });
  const complaints: Complaint[] = [];
  try {
    command.parse(argv, { from: 'user' });
    // What is no known flag, and after it perhaps its value, is left over.
    const unknown = command.args.filter((arg) => arg.startsWith('-') && arg !== '-');
    const left = unknown.length > 0 ? unknown : command.args.slice(0, 1);
    for (const arg of left) complaints.push({ code: 'USAGE', message: usageMessage(arg, role) });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return output.join('');
    complaints.push({ code: 'USAGE', message: `${error.message.replace(/^error: /, '')} (see tandem-${role} --help)` });
  }
  return { given: command.opts(), complaints };
}

/** The first `nameserver` of a resolv.conf text as `ADDR:53`; null if there is none. */
export function firstResolver(resolvConf: string): string | null {
  for (const line of resolvConf.split('\n')) {
    const match = /^\s*nameserver\s+(\S+)/.exec(line);
    // A zone (fe80::1%eth0) names an interface, which an upstream cannot have here.
    const address = match === null ? null : canonicalAddress(match[1]);
    if (address !== null) return formatSocketAddress({ address, port: RESOLVER_PORT });
  }
  return null;
}

function factsOf(request: LoadRequest): SettingFacts {
  return {
    role: request.role,
    hostname: hostname(),
    runDir: defaultRunDir(request.env),
    stateDir: defaultStateDir(request.role, request.env),
    localAddresses: localAddresses(),
    resolver: systemResolver(request.resolvConfPath ?? '/etc/resolv.conf'),
  };
}

function localAddresses(): string[] {
  // A zone (fe80::1%eth0) is no part of an address in a setting.
  return Object.values(networkInterfaces()).flatMap((rows) => rows ?? [])
    .flatMap(({ address }) => canonicalAddress(address.replace(/%.*$/, '')) ?? []);
}

function systemResolver(path: string): string | null {
  try {
    return firstResolver(readFileSync(path, 'utf8'));
  } catch {
    return null; // Only needed where --upstream is not given; its absence is then the complaint.
  }
}

function fromEnvironment(env: Environment): RawSetting[] {
  const raws: RawSetting[] = [];
  for (const row of SETTINGS) {
    const where = environmentNameOf(row);
    const text = env[where];
    if (text !== undefined) raws.push({ name: row.name, texts: [text], where, from: 'environment' });
  }
  return raws;
}

/** Planted by drills, read by the data plane (dataplane/faults.ts). */
const FAULTS_VARIABLE = 'TANDEM_FAULTS';
/** More flags for Node, taken by the launcher (bin/launch). */
const NODE_FLAGS_VARIABLE = 'TANDEM_NODE_FLAGS';

/** A misspelt variable is told, not refused: the environment may be meant for another program of ours. */
function unknownVariables(env: Environment): string[] {
  const known = [CONFIG_VARIABLE, FAULTS_VARIABLE, NODE_FLAGS_VARIABLE, ...SETTINGS.map(environmentNameOf)];
  const unknown = Object.keys(env).filter((name) => name.startsWith(VARIABLE_PREFIX) && !known.includes(name)).sort();
  const notices = unknown.slice(0, VARIABLES_SHOWN_MAX).map((name) => {
    const nearest = nearestName(name, known);
    return `${name.slice(0, 80)} is in the environment and no setting${nearest === null ? '' : `; did you mean ${nearest}?`}`;
  });
  const more = unknown.length - notices.length;
  return more > 0 ? [...notices, `${more} more variables ${VARIABLE_PREFIX}… are no settings`] : notices;
}

function commandFor(role: Role, version: string): Command {
  const command = new Command(`tandem-${role}`)
    .description(`The ${role} half of a Tandem DNS proxy pair. Each setting is a flag, an environment variable (TANDEM_…) and a key of --config.`)
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this text')
    .allowExcessArguments(true)
    .allowUnknownOption(true)
    .exitOverride()
    .configureHelp({ helpWidth: HELP_WIDTH })
    .addOption(collecting(new Option('--config <FILE>', 'settings as YAML, keys as the flags without dashes')))
    .addHelpText('after', afterHelp(role));
  for (const row of SETTINGS) command.addOption(optionFor(row, role));
  return command;
}

function optionFor(row: SettingRow, role: Role): Option {
  const placeholder = row.kind === 'boolean' ? ' [BOOL]' : ` <${row.unit}>`;
  const option = collecting(new Option(`${flagOf(row)}${placeholder}`, describe(row)));
  if (row.kind === 'boolean') option.preset('true');
  return option.hideHelp(row.status !== 'honoured' || row.roles?.includes(role) === false);
}

/** Keeps every occurrence under the setting's own name: whether several are allowed is core's to say. */
function collecting(option: Option): Option {
  option.attributeName = () => option.name();
  return option.argParser((text: string, before: string[] | undefined) => [...(before ?? []), text]);
}

function describe(row: SettingRow): string {
  const range = row.kind === 'boolean' || row.kind === 'text' || row.kind === 'address' || row.kind === 'addresses' || row.kind === 'name' || row.kind === 'names' || row.kind === 'files' ? '' : `; allowed: ${rangeTextOf(row)}`;
  const fallback = defaultTextOf(row);
  return `${row.why}${range}${fallback === '–' ? '' : ` (default: ${fallback})`}`;
}

function afterHelp(role: Role): string {
  const names = (status: SettingRow['status']): string =>
    SETTINGS.filter((row) => row.status === status && row.roles?.includes(role) !== false).map(flagOf).join(', ');
  return `
Accepted for the sake of Cilium's configuration, without effect: ${names('notice')}

Signals: SIGTERM drains and exits, a second one exits at once; SIGHUP rereads the configuration.
Exit codes: 0 clean, 64 usage, 65 configuration, 69 resource not to be had, 70 broken invariant.

Example:
  tandem-${role} --listen 127.0.0.1:10053 --upstream 192.0.2.53:53${role === 'agent' ? ' --manifests ./manifests' : ''}
`;
}

/** `arg`: what commander had no use for. */
function usageMessage(arg: string, role: Role): string {
  const shown = arg.replace(/=.*$/s, '').slice(0, 80);
  if (!arg.startsWith('-')) return `unexpected argument '${shown}' (see tandem-${role} --help)`;
  const nearest = nearestName(shown.replace(/^-+/, ''), SETTINGS.map((row) => row.name));
  const hint = nearest === null ? '' : `; did you mean --${nearest}?`;
  return `unknown option '${shown}'${hint} (see tandem-${role} --help)`;
}

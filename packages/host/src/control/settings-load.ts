/**
 * Where a daemon's settings come from: argv before environment before `--config FILE` before default. Reads the file and
 * resolv.conf; what the texts mean is core's. Every complaint names the place: flag, variable, or file and line.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import {
  AppError, canonicalAddress, defaultTextOf, environmentNameOf, flagOf, formatSocketAddress, parseSettings, rangeTextOf,
  SETTINGS, type ParsedSettings, type RawSetting, type Role, type SettingFacts, type SettingRow,
} from '@tandem/core';
import { Command, CommanderError, Option } from 'commander';
import { readConfigFile } from './config-file.js';
import { nearestName } from './nearest-name.js';
import { defaultRunDir, defaultStateDir, type Environment } from './paths.js';

export interface LoadRequest {
  readonly role: Role;
  readonly version: string;
  /** Without interpreter and script. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Texts by setting that stand before the defaults, and behind all else. */
  readonly fallbacks?: Readonly<Record<string, string>>;
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

const CONFIG_VARIABLE = 'TANDEM_CONFIG';
const RESOLVER_PORT = 53;
const HELP_WIDTH = 100;

/** @throws AppError USAGE (flags), CONFIGURATION (environment, file), UNAVAILABLE (settings of later versions). */
export function loadSettings(request: LoadRequest): Loaded {
  const command = commandFor(request.role, request.version);
  const output: string[] = [];
  command.configureOutput({ writeOut: (text) => output.push(text), writeErr: () => undefined });
  try {
    command.parse(request.argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'text', text: output.join('') };
    throw new AppError('USAGE', usageMessage(error.message, request.role), { cause: error });
  }
  const given = command.opts<Record<string, string[] | undefined>>();
  const configFile = given.config?.at(-1) ?? request.env[CONFIG_VARIABLE] ?? null;
  const raws = new Map<string, RawSetting>();
  if (configFile !== null) for (const raw of readConfigFile(resolve(configFile))) raws.set(raw.name, raw);
  for (const raw of fromEnvironment(request.env)) raws.set(raw.name, raw);
  for (const row of SETTINGS) {
    const texts = given[row.name];
    if (texts !== undefined) raws.set(row.name, { name: row.name, texts, where: flagOf(row), from: 'argv' });
  }
  const written = [...raws.values()];
  const fallbacks = Object.entries(request.fallbacks ?? {}).filter(([name]) => !raws.has(name))
    .map(([name, text]): RawSetting => ({ name, texts: [text], where: `--${name}`, from: 'file' }));
  return { kind: 'settings', configFile, given: written, ...parseSettings([...written, ...fallbacks], factsOf(request)) };
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
    resolver: systemResolver(request.resolvConfPath ?? '/etc/resolv.conf'),
  };
}

function systemResolver(path: string): string | null {
  try {
    return firstResolver(readFileSync(path, 'utf8'));
  } catch {
    return null; // Only needed where --upstream is not given; its absence is then the complaint.
  }
}

/** Variables that are no setting's are left alone: some are the CLI's. */
function fromEnvironment(env: Environment): RawSetting[] {
  const raws: RawSetting[] = [];
  for (const row of SETTINGS) {
    const where = environmentNameOf(row);
    const text = env[where];
    if (text !== undefined) raws.push({ name: row.name, texts: [text], where, from: 'environment' });
  }
  return raws;
}

function commandFor(role: Role, version: string): Command {
  const command = new Command(`tandem-${role}`)
    .description(`The ${role} half of a Tandem DNS proxy pair. Each setting is a flag, an environment variable (TANDEM_…) and a key of --config.`)
    .version(version, '--version', 'print the version')
    .helpOption('-h, --help', 'print this text')
    .allowExcessArguments(false)
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
  const range = row.kind === 'boolean' || row.kind === 'text' || row.unit === 'ADDR:PORT' ? '' : `; allowed: ${rangeTextOf(row)}`;
  const fallback = defaultTextOf(row);
  return `${row.why}${range}${fallback === '–' ? '' : ` (default: ${fallback})`}`;
}

function afterHelp(role: Role): string {
  const names = (status: SettingRow['status']): string =>
    SETTINGS.filter((row) => row.status === status && row.roles?.includes(role) !== false).map(flagOf).join(', ');
  return `
Accepted for the sake of Cilium's configuration, without effect: ${names('notice')}
Not in this version, refused unless at their default: ${names('later')}

Signals: SIGTERM drains and exits, a second one exits at once; SIGHUP rereads the configuration.
Exit codes: 0 clean, 64 usage, 65 configuration, 69 resource not to be had, 70 broken invariant.

Example:
  tandem-${role} --listen 127.0.0.1:10053 --upstream 192.0.2.53:53${role === 'agent' ? ' --manifests ./manifests' : ''}
`;
}

function usageMessage(message: string, role: Role): string {
  const flag = /unknown option '--([^'=]+)/.exec(message)?.[1];
  const nearest = flag === undefined ? null : nearestName(flag, SETTINGS.map((row) => row.name));
  const plain = flag === undefined ? message.replace(/^error: /, '') : `unknown option '--${flag}'`;
  const hint = nearest === null ? '' : `; did you mean --${nearest}?`;
  return `${plain}${hint} (see tandem-${role} --help)`;
}

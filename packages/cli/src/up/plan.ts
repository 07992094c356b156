/**
 * What `tandem up` starts: the two daemons' command lines, from the flags that were given and, for what was not, an embedded
 * default: example manifests, the demo zone as upstream, state inside the run-dir.
 */
import { join } from 'node:path';
import { AppError, flagOf, formatSocketAddress, SETTINGS, settingByName, type RawSetting, type Role, type Settings, type SocketAddress } from '@tandem/core';
import { loadSettings, type Environment } from '@tandem/host';
import { ROOT } from '../root.js';
import { version } from '../version.js';
import type { MemberCommand } from './member-process.js';

export interface UpPlan {
  readonly settings: Settings;
  /** Whether the demo zone is the upstream, so that it has to be started. */
  readonly needsDemoZone: boolean;
  /** Whether the example manifests are used: their addresses can be suggested. */
  readonly isDemo: boolean;
  readonly commandsFor: (upstream: SocketAddress | null) => readonly MemberCommand[];
}

export interface UpRequest {
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Launchers of the daemons; tests have their own. */
  readonly programs: Readonly<Record<Role, string>>;
}

export const LAUNCHERS: Readonly<Record<Role, string>> = {
  'agent': join(ROOT, 'packages/agent/bin/tandem-agent'),
  'dns-proxy': join(ROOT, 'packages/dns-proxy/bin/tandem-dns-proxy'),
};

export const QUICKSTART_DIR = join(ROOT, 'examples/quickstart');

const ROLES: readonly Role[] = ['agent', 'dns-proxy'];
/** Stands for the demo zone until its port is known; only checked, never used. */
const PLACEHOLDER = '127.0.0.153:53';
/** Settings that cannot mean the same for both. */
const OWN_FORM = ['state-dir', 'http-listen', 'hubble-listen'];

/** @throws AppError as `loadSettings`. */
export function planUp(request: UpRequest): UpPlan {
  const loaded = loadSettings({
    role: 'agent', version, argv: request.argv, env: request.env,
    fallbacks: (raws) => ({
      'log-format': 'text', ...needsZone(raws) ? { upstream: PLACEHOLDER } : {}, ...needsExamples(raws) ? { manifests: QUICKSTART_DIR } : {},
    }),
  });
  if (loaded.kind === 'text') throw new AppError('USAGE', "the daemons' flags are listed by 'tandem-agent --help'");
  const { settings, configFile } = loaded;
  const given = new Map(loaded.given.map((raw) => [raw.name, raw]));
  const isDemo = needsExamples(given);
  const commandsFor = (upstream: SocketAddress | null): readonly MemberCommand[] => ROLES.map((role) => ({
    role,
    program: request.programs[role],
    argv: [...configFile === null ? [] : ['--config', configFile], ...flagsFor(role, { settings, given, upstream })],
  }));
  return { settings, needsDemoZone: needsZone(given), isDemo, commandsFor };
}

/** In transparent mode each pod's query goes to the server that the pod chose. */
function needsZone(given: ReadonlyMap<string, RawSetting>): boolean {
  return !given.has('upstream') && textOf(given, 'mode') !== 'transparent';
}

/** Policy comes from a folder or from the API server. */
function needsExamples(given: ReadonlyMap<string, RawSetting>): boolean {
  return !given.has('manifests') && !['true', '1'].includes(textOf(given, 'kubernetes') ?? '');
}

function textOf(given: ReadonlyMap<string, RawSetting>, name: string): string | undefined {
  return given.get(name)?.texts[0];
}

interface Given {
  readonly settings: Settings;
  readonly given: ReadonlyMap<string, RawSetting>;
  readonly upstream: SocketAddress | null;
}

/** What one flag cannot say to both, each gets in a form of its own; the rest is handed on as it was written. */
function flagsFor(role: Role, { settings, given, upstream }: Given): string[] {
  const flags = SETTINGS.flatMap((row) => {
    const raw = given.get(row.name);
    if (raw?.from !== 'argv' || OWN_FORM.includes(row.name)) return [];
    return row.roles?.includes(role) === false ? [] : raw.texts.map((text) => `${flagOf(row)}=${text}`);
  });
  const add = (name: string, text: string): void => { flags.push(`${flagOf(settingByName(name)!)}=${text}`); };
  if (needsExamples(given) && role === 'agent') add('manifests', QUICKSTART_DIR);
  if (upstream !== null) add('upstream', formatSocketAddress(upstream));
  if (!given.has('log-format')) add('log-format', 'text');
  // Both would otherwise write into one folder.
  add('state-dir', given.has('state-dir') ? join(settings.stateDir, role) : join(settings.runDir, 'state', role));
  if (given.has('http-listen')) add('http-listen', formatSocketAddress(httpListenOf(settings, role)));
  if (given.has('hubble-listen')) add('hubble-listen', hubbleListenOf(settings, role));
  return flags;
}

/** `--hubble-listen` is the agent's; dns-proxy takes the next port, or a socket file beside it. */
function hubbleListenOf({ hubbleListen }: Settings, role: Role): string {
  if (hubbleListen === null) return '';
  if (typeof hubbleListen === 'string') return `unix:${hubbleListen}${role === 'agent' ? '' : '.dns-proxy'}`;
  return formatSocketAddress(role === 'agent' ? hubbleListen : portAfter(hubbleListen, 'hubble-listen'));
}

/** `--http-listen` is the agent's; dns-proxy takes the next port (or also a free one). */
export function httpListenOf(settings: Settings, role: Role): SocketAddress {
  const { httpListen } = settings;
  return role === 'agent' || httpListen.port === 0 ? httpListen : portAfter(httpListen, 'http-listen');
}

function portAfter(at: SocketAddress, flag: string): SocketAddress {
  if (at.port === 65_535) throw new AppError('USAGE', `--${flag}: dns-proxy takes the next port, so 65534 is the highest here`);
  return { ...at, port: at.port + 1 };
}

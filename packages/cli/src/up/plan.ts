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

/** @throws AppError as `loadSettings`. */
export function planUp(request: UpRequest): UpPlan {
  const loaded = loadSettings({
    role: 'agent', version, argv: request.argv, env: request.env,
    fallbacks: { upstream: PLACEHOLDER, manifests: QUICKSTART_DIR, 'log-format': 'text' },
  });
  if (loaded.kind === 'text') throw new AppError('USAGE', "the daemons' flags are listed by 'tandem-agent --help'");
  const { settings, configFile } = loaded;
  const given = new Map(loaded.given.map((raw) => [raw.name, raw]));
  const isDemo = !given.has('manifests');
  const commandsFor = (upstream: SocketAddress | null): readonly MemberCommand[] => ROLES.map((role) => ({
    role,
    program: request.programs[role],
    argv: [...configFile === null ? [] : ['--config', configFile], ...flagsFor(role, { settings, given, upstream })],
  }));
  return { settings, needsDemoZone: !given.has('upstream'), isDemo, commandsFor };
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
    if (raw?.from !== 'argv' || row.name === 'state-dir' || row.name === 'http-listen') return [];
    return row.roles?.includes(role) === false ? [] : raw.texts.map((text) => `${flagOf(row)}=${text}`);
  });
  const add = (name: string, text: string): void => { flags.push(`${flagOf(settingByName(name)!)}=${text}`); };
  if (!given.has('manifests') && role === 'agent') add('manifests', QUICKSTART_DIR);
  if (!given.has('upstream') && upstream !== null) add('upstream', formatSocketAddress(upstream));
  if (!given.has('log-format')) add('log-format', 'text');
  // Both would otherwise write into one folder.
  add('state-dir', given.has('state-dir') ? join(settings.stateDir, role) : join(settings.runDir, 'state', role));
  if (given.has('http-listen')) add('http-listen', formatSocketAddress(httpListenOf(settings, role)));
  return flags;
}

/** `--http-listen` is the agent's; dns-proxy takes the next port (or also a free one). */
export function httpListenOf(settings: Settings, role: Role): SocketAddress {
  const { httpListen } = settings;
  if (role === 'agent' || httpListen.port === 0) return httpListen;
  if (httpListen.port === 65_535) throw new AppError('USAGE', '--http-listen: dns-proxy takes the next port, so 65534 is the highest here');
  return { ...httpListen, port: httpListen.port + 1 };
}

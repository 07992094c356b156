/**
 * Where the API server is and how it is convinced: a kubeconfig, or the files that a pod finds in itself.
 *
 * Invariant: what is understood half is refused; a setting that would weaken TLS or send a token elsewhere is never guessed.
 * Does not know: connections. Files of tokens and certificates are named here and read with each connection (`credentials.ts`).
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { AppError } from '@tandem/core';
import { parse } from 'yaml';

/** Bytes from the configuration itself, or a file that is read again when it is needed: both rotate. */
export type Secret = { readonly data: string } | { readonly path: string };

export interface ClusterConfig {
  /** Scheme, host, port, and a path in front of `/api`, if there is one; no slash at the end. */
  readonly server: URL;
  /** PEM; null: those that Node trusts. */
  readonly ca: Secret | null;
  /** PEM; both, or neither. */
  readonly cert: Secret | null;
  readonly key: Secret | null;
  readonly token: Secret | null;
  /** Name in the certificate, where it is not the host of `server`. */
  readonly tlsServerName: string | null;
  readonly insecureSkipTlsVerify: boolean;
}

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';
const FILE_CHARACTERS_MAX = 1024 * 1024;
const KNOWN_USER_KEYS = ['client-certificate', 'client-certificate-data', 'client-key', 'client-key-data', 'token', 'tokenFile'];

type Mapping = Readonly<Record<string, unknown>>;

/** `kubeconfig`: the setting, before `$KUBECONFIG`; without either the pod's own files. @throws AppError CONFIGURATION. */
export function clusterConfig(kubeconfig: string | null, env: NodeJS.ProcessEnv, serviceAccountDir = SERVICE_ACCOUNT_DIR): ClusterConfig {
  const path = kubeconfig ?? (env.KUBECONFIG === '' ? null : (env.KUBECONFIG ?? null));
  if (path === null) return inCluster(env, serviceAccountDir);
  if (path.includes(':')) throw bad(path, 'are several files; give one (kubectl config view --flatten makes one of them)');
  return fromKubeconfig(path, readText(path));
}

function inCluster(env: NodeJS.ProcessEnv, dir: string): ClusterConfig {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (host === undefined || port === undefined) {
    throw new AppError('CONFIGURATION', '--kubernetes: this is no pod (no KUBERNETES_SERVICE_HOST); give --kubeconfig FILE or set KUBECONFIG');
  }
  const address = host.includes(':') ? `[${host}]` : host;
  if (!URL.canParse(`https://${address}:${port}`)) throw new AppError('CONFIGURATION', `KUBERNETES_SERVICE_HOST "${host}" with port "${port}" is no address`);
  readText(join(dir, 'token'));
  return {
    server: new URL(`https://${address}:${port}`), ca: { path: join(dir, 'ca.crt') }, token: { path: join(dir, 'token') },
    cert: null, key: null, tlsServerName: null, insecureSkipTlsVerify: false,
  };
}

function fromKubeconfig(path: string, text: string): ClusterConfig {
  const config = parsed(path, text);
  const current = string(config, 'current-context', path);
  if (current === null) throw bad(path, 'has no current-context; choose one with kubectl config use-context');
  const context = named(config, { list: 'contexts', name: current, part: 'context' }, path);
  const clusterName = string(context, 'cluster', path);
  const userName = string(context, 'user', path);
  if (clusterName === null) throw bad(path, `context "${current}" names no cluster`);
  const cluster = named(config, { list: 'clusters', name: clusterName, part: 'cluster' }, path);
  const user = userName === null ? {} : named(config, { list: 'users', name: userName, part: 'user' }, path);
  refuseUnsupported(user, cluster, { path, userName: userName ?? '' });
  const cert = secret(user, 'client-certificate', path);
  const key = secret(user, 'client-key', path);
  if ((cert === null) !== (key === null)) throw bad(path, `user "${userName}" has only one of client-certificate and client-key`);
  const server = serverUrl(string(cluster, 'server', path), path);
  const token = string(user, 'token', path);
  const tokenFile = string(user, 'tokenFile', path);
  return {
    server,
    ca: secret(cluster, 'certificate-authority', path),
    cert,
    key,
    // As kubectl has it: the file wins, for it is what rotates.
    token: tokenFile !== null ? { path: resolve(dirname(path), tokenFile) } : token === null ? null : { data: token },
    tlsServerName: string(cluster, 'tls-server-name', path),
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'] === true,
  };
}

function refuseUnsupported(user: Mapping, cluster: Mapping, { path, userName }: { readonly path: string; readonly userName: string }): void {
  for (const key of Object.keys(user)) {
    if (KNOWN_USER_KEYS.includes(key)) continue;
    const advice = 'give the agent a token, a tokenFile or a client certificate';
    if (key === 'exec') throw bad(path, `user "${userName}" gets credentials from a program (exec), which a daemon with privileges does not run; ${advice}`);
    throw bad(path, `user "${userName}" has "${key}", which is not supported; ${advice}`);
  }
  if (typeof cluster['proxy-url'] === 'string' && cluster['proxy-url'] !== '') throw bad(path, 'proxy-url is not supported: the agent connects to the API server itself');
}

function parsed(path: string, text: string): Mapping {
  let config: unknown;
  try {
    config = parse(text, { maxAliasCount: 100 });
  } catch (error) {
    throw bad(path, `is no YAML: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
  if (!isRecord(config)) throw bad(path, 'is no kubeconfig: a mapping is wanted');
  return config;
}

function named(config: Mapping, { list, name, part }: { readonly list: string; readonly name: string; readonly part: string }, path: string): Mapping {
  const entries: unknown = config[list];
  const found: unknown = Array.isArray(entries) ? entries.find((entry: unknown) => isRecord(entry) && entry.name === name) : undefined;
  if (!isRecord(found)) throw bad(path, `has no "${name}" under ${list}`);
  const inner = found[part] ?? {};
  if (!isRecord(inner)) throw bad(path, `${list}: "${name}" has no mapping under "${part}"`);
  return inner;
}

function serverUrl(text: string | null, path: string): URL {
  if (text === null || !URL.canParse(text)) throw bad(path, `server "${text ?? ''}" is no URL`);
  const url = new URL(text);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw bad(path, `server "${text}" is neither https nor http`);
  url.pathname = url.pathname.replace(/\/+$/, '');
  return url;
}

/** `NAME-data` (base64) before the file that `NAME` names, which is relative to the kubeconfig. */
function secret(from: Mapping, name: string, path: string): Secret | null {
  const data = string(from, `${name}-data`, path);
  if (data !== null) return { data: Buffer.from(data, 'base64').toString('utf8') };
  const file = string(from, name, path);
  return file === null ? null : { path: resolve(dirname(path), file) };
}

function string(from: Mapping, key: string, path: string): string | null {
  const value = from[key] ?? null;
  if (value === null || value === '') return null;
  if (typeof value !== 'string') throw bad(path, `"${key}" is no string`);
  return value;
}

function readText(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw bad(path, `cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (text.length > FILE_CHARACTERS_MAX) throw bad(path, `has ${text.length} characters; ${FILE_CHARACTERS_MAX} are the most`);
  return text;
}

function isRecord(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bad(path: string, message: string): AppError {
  return new AppError('CONFIGURATION', `${path} ${message}`);
}

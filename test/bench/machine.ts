/** What a run was made on and with: figures mean nothing without it. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../harness/repository.js';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryMb: number;
  /** "none" on bare metal. */
  readonly virtualization: string;
  readonly kernel: string;
  readonly system: string;
  readonly node: string;
  /** Program → version; only those that are installed. */
  readonly peers: Readonly<Record<string, string>>;
  /** Of this repository; "unknown" outside of a clone. */
  readonly revision: string;
}

export function machine(): Machine {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism(), memoryMb: Math.round(totalmem() / 1e6),
    virtualization: said('systemd-detect-virt', []) ?? 'unknown', kernel: release(), system: systemName(), node: process.version,
    peers: peerVersions(), revision: revisionOf(),
  };
}

function peerVersions(): Record<string, string> {
  const found: [string, string | null][] = [
    ['dnsdist', firstMatch(said('dnsdist', ['--version']), /dnsdist (\S+)/)],
    ['unbound', firstMatch(said('unbound', ['-V']), /Version (\S+)/)],
    ['dnsmasq', firstMatch(said('dnsmasq', ['--version']), /version (\S+)/)],
    ['go', firstMatch(said('go', ['version']), /go(\d\S*)/)],
    ['miekg/dns', firstMatch(said('dpkg-query', ['-W', '-f', '${Version}', 'golang-github-miekg-dns-dev']), /(\S+)/)],
  ];
  return Object.fromEntries(found.filter((pair): pair is [string, string] => pair[1] !== null));
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
}

function revisionOf(): string {
  const head = said('git', ['-C', repositoryRoot, 'rev-parse', '--short=12', 'HEAD'])?.trim();
  if (head === undefined || head === '') return 'unknown';
  const changed = said('git', ['-C', repositoryRoot, 'status', '--porcelain', '--untracked-files=no', '--', join(repositoryRoot, 'packages')]);
  return changed === null || changed.trim() === '' ? head : `${head} with changes`;
}

/** Standard output also of a program that ends with an error (systemd-detect-virt does on bare metal); null where there is none. */
function said(command: string, args: readonly string[]): string | null {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    const { stdout } = error as { stdout?: unknown };
    return typeof stdout === 'string' && stdout !== '' ? stdout : null;
  }
}

function firstMatch(text: string | null, pattern: RegExp): string | null {
  return text === null ? null : pattern.exec(text)?.[1] ?? null;
}

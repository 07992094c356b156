/**
 * Certificate, key and CAs of a port, as of the pair link over TCP. There a certificate is made out to its role (`tandem-agent`,
 * `tandem-dns-proxy`), not to an address: a CA may sign other things, too, and a member's address may change.
 *
 * Invariant: what is in use was usable when it was read. Files that are replaced are read again with the next connection; if
 * those cannot be used, the former stay, and the log says so.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { AppError, type Role, type Settings } from '@tandem/core';
import type { SpacedLog } from './spaced-log.js';

export interface UsableTls {
  /** PEM texts, for TLS 1.3 alone: both ends of the pair link are ours, and Hubble's clients know it. */
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

/** The name in the certificate of that role. */
export function certificateNameOf(role: Role): string {
  return `tandem-${role}`;
}

export interface TlsFile {
  /** The setting that names it. */
  readonly flag: string;
  readonly path: string;
}

export interface TlsFileSet {
  /** Whose they are, in the log. */
  readonly of: string;
  readonly cert: TlsFile;
  readonly key: TlsFile;
  readonly authorities: readonly TlsFile[];
}

/** The settings have all three. */
export function pairTlsFiles(settings: Pick<Settings, 'pairTlsCert' | 'pairTlsKey' | 'pairTlsCa'>): TlsFileSet {
  return {
    of: 'the pair link',
    cert: { flag: '--pair-tls-cert', path: settings.pairTlsCert! },
    key: { flag: '--pair-tls-key', path: settings.pairTlsKey! },
    authorities: [{ flag: '--pair-tls-ca', path: settings.pairTlsCa! }],
  };
}

export class TlsFiles {
  private readonly set: TlsFileSet;
  private readonly spaced: SpacedLog;
  private version: string;
  private tls: UsableTls;

  /** @throws AppError CONFIGURATION for a file that cannot be used. */
  constructor(set: TlsFileSet, spaced: SpacedLog) {
    this.spaced = spaced;
    this.set = set;
    this.version = this.versionOf();
    this.tls = this.read();
  }

  /** As the files are now. */
  current(): UsableTls {
    const version = this.versionOf();
    if (version === this.version) return this.tls;
    try {
      this.tls = this.read();
      this.version = version;
    } catch (error) {
      this.spaced.say('error', `the new certificates of ${this.set.of} cannot be used; the former stay`, error instanceof Error ? error.message : String(error));
    }
    return this.tls;
  }

  private versionOf(): string {
    const { cert, key, authorities } = this.set;
    return [cert, key, ...authorities].map(({ path }) => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeMs}`;
    }).join(' / ');
  }

  private read(): UsableTls {
    const { cert, key, authorities } = this.set;
    const certText = textOf(cert, (text) => new X509Certificate(text));
    const keyText = textOf(key, (text) => createPrivateKey(text));
    const ca = authorities.map((file) => textOf(file, (text) => new X509Certificate(text)));
    const options = { cert: certText, key: keyText, ...(ca.length === 0 ? {} : { ca }), minVersion: 'TLSv1.3' } as const;
    try {
      return { options, context: createSecureContext(options) };
    } catch (error) {
      throw unusable(key, `is not the key of ${cert.path}`, error);
    }
  }
}

function textOf(file: TlsFile, parse: (text: Buffer) => unknown): Buffer {
  let text: Buffer;
  try {
    text = readFileSync(file.path);
  } catch (error) {
    throw unusable(file, 'cannot be read', error);
  }
  try {
    parse(text);
  } catch (error) {
    throw unusable(file, 'holds no PEM that can be used', error);
  }
  return text;
}

function unusable({ flag, path }: TlsFile, what: string, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError('CONFIGURATION', `${flag} ${path} ${what}: ${why}`, { cause });
}

/**
 * Certificate, key and CA of the pair link over TCP. A certificate is made out to its role (`tandem-agent`,
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

export interface PairTls {
  /** PEM texts, for TLS 1.3 alone: both ends are ours. */
  readonly options: SecureContextOptions;
  readonly context: SecureContext;
}

/** The name in the certificate of that role. */
export function certificateNameOf(role: Role): string {
  return `tandem-${role}`;
}

export class TlsFiles {
  private readonly files: readonly { readonly flag: string; readonly path: string }[];
  private readonly spaced: SpacedLog;
  private version: string;
  private tls: PairTls;

  /** @throws AppError CONFIGURATION for a file that cannot be used; the settings have all three. */
  constructor(settings: Settings, spaced: SpacedLog) {
    this.spaced = spaced;
    this.files = [
      { flag: '--pair-tls-cert', path: settings.pairTlsCert! },
      { flag: '--pair-tls-key', path: settings.pairTlsKey! },
      { flag: '--pair-tls-ca', path: settings.pairTlsCa! },
    ];
    this.version = this.versionOf();
    this.tls = this.read();
  }

  /** As the files are now. */
  current(): PairTls {
    const version = this.versionOf();
    if (version === this.version) return this.tls;
    try {
      this.tls = this.read();
      this.version = version;
    } catch (error) {
      this.spaced.say('error', 'the new certificates of the pair link cannot be used; the former stay', error instanceof Error ? error.message : String(error));
    }
    return this.tls;
  }

  private versionOf(): string {
    return this.files.map(({ path }) => {
      const found = statSync(path, { throwIfNoEntry: false });
      return found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeMs}`;
    }).join(' / ');
  }

  private read(): PairTls {
    const [cert, key, ca] = this.files.map(({ flag, path }) => {
      try {
        return readFileSync(path);
      } catch (error) {
        throw unusable(flag, path, 'cannot be read', error);
      }
    });
    this.check(0, () => new X509Certificate(cert));
    this.check(1, () => createPrivateKey(key));
    this.check(2, () => new X509Certificate(ca));
    const options = { cert, key, ca, minVersion: 'TLSv1.3' } as const;
    try {
      return { options, context: createSecureContext(options) };
    } catch (error) {
      const [{ path: certPath }, { flag, path }] = this.files;
      throw unusable(flag, path, `is not the key of ${certPath}`, error);
    }
  }

  private check(index: number, parse: () => unknown): void {
    const { flag, path } = this.files[index];
    try {
      parse();
    } catch (error) {
      throw unusable(flag, path, 'holds no PEM that can be used', error);
    }
  }
}

function unusable(flag: string, path: string, what: string, cause: unknown): AppError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AppError('CONFIGURATION', `${flag} ${path} ${what}: ${why}`, { cause });
}

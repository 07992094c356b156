/** Certificates, and a port to show them at. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Settings } from '@tandem/core';

/** Makes certificates in a folder, each signed by the CA of that name. */
export class Certificates {
  private readonly dir: string;

  constructor({ dir }: { readonly dir: string }) {
    this.dir = dir;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  ca(ca: string): void {
    this.openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${ca}`,
      '-keyout', `${ca}.key`, '-out', `${ca}.pem`);
  }

  /** `name.pem` and `name.key`, made out to `to`. */
  issue(name: string, to: string, ca: string): void {
    this.openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=member', '-keyout', `${name}.key`, '-out', `${name}.csr`);
    writeFileSync(this.path(`${name}.ext`), `subjectAltName=DNS:${to}\n`);
    this.openssl('x509', '-req', '-in', `${name}.csr`, '-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2',
      '-extfile', `${name}.ext`, '-out', `${name}.pem`);
  }

  settings(name: string, ca: string): Pick<Settings, 'pairTlsCert' | 'pairTlsKey' | 'pairTlsCa'> {
    return { pairTlsCert: this.path(`${name}.pem`), pairTlsKey: this.path(`${name}.key`), pairTlsCa: this.path(`${ca}.pem`) };
  }

  private openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.dir, stdio: 'pipe' });
  }
}

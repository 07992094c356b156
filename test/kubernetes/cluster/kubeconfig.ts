/** What a client of the cluster reads: where the server is, who vouches for it, and who the client is. */
import { writeFileSync } from 'node:fs';

export interface Access {
  /** `https://ADDRESS:PORT`. */
  readonly server: string;
  /** The server's certificate authority, in PEM. */
  readonly ca: string;
  readonly token: string;
  /** Of a relay to the server, where it is not reached by its address. */
  readonly socketPath?: string;
}

/** JSON is YAML, too. Readable by its owner alone: it holds a token. */
export function writeKubeconfig(path: string, { server, ca, token }: Access): void {
  const name = 'tandem-test';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

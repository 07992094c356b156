/** Where `test/kubernetes/install` puts what a cluster is made of. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const folder = join(process.env.TANDEM_CACHE_DIR ?? join(homedir(), '.cache/tandem/kubernetes'), 'bin');

/** The version of the server and of its kubectl. */
export const SERVER_VERSION = '1.20.2';

/** Path of a program. @throws Error saying how to get it. */
export function program(name: 'kube-apiserver' | 'kubectl'): string {
  const path = join(folder, name);
  if (!existsSync(path)) throw new Error(`there is no ${path}: run test/kubernetes/install`);
  return path;
}

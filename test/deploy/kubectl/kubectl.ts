/**
 * kubectl as people have it, for what needs no server: `kubectl kustomize`. $KUBECTL names another one than that of the PATH; that it is new enough
 * says `require` beside this file, which what begins such tests calls first.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { repositoryRoot } from '../../harness/repository.js';
import { temporaryFolder } from '../../harness/temporary.js';
import { type KubernetesObject, objectsOf } from '../objects.js';

const KUBECTL = process.env.KUBECTL ?? 'kubectl';
const KUSTOMIZE = join(repositoryRoot, 'deploy/kustomize');
const OUTPUT_BYTES_MAX = 16 << 20;

/** Of an overlay of deploy/kustomize, with components if any are named: a folder of one's own beside it, as docs/install.md has it. */
export function render(overlay: string, components: readonly string[] = []): KubernetesObject[] {
  return objectsOf(renderText(overlay, components));
}

export function renderText(overlay: string, components: readonly string[] = []): string {
  if (components.length === 0) return kubectl(['kustomize', join(KUSTOMIZE, overlay)]);
  const folder = join(temporaryFolder('tandem-overlay-'), 'mine');
  mkdirSync(folder);
  const listed = (name: string, paths: readonly string[]): string => `${name}:\n${paths.map((path) => `  - ${relative(folder, join(KUSTOMIZE, path))}\n`).join('')}`;
  writeFileSync(join(folder, 'kustomization.yaml'), [
    'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n', listed('resources', [overlay]), listed('components', components.map((name) => `components/${name}`)),
  ].join(''));
  return kubectl(['kustomize', folder]);
}

/** @throws Error with what it said. */
function kubectl(args: readonly string[]): string {
  return execFileSync(KUBECTL, args, { encoding: 'utf8', maxBuffer: OUTPUT_BYTES_MAX, stdio: ['ignore', 'pipe', 'pipe'] });
}

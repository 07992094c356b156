/** The members' objects in deploy/, as `kubectl kustomize` renders them and a server before 1.22 takes them: without surge. */
import { render } from '../../deploy/kubectl/kubectl.js';

export const NAMESPACE = 'tandem-system';

/** CRDs first. */
export function memberObjects(): object[] {
  const order = (kind: string): number => ['CustomResourceDefinition', 'Namespace'].indexOf(kind) + 1 || 3;
  return [...render('overlays/standalone', ['no-surge'])].sort((a, b) => order(a.kind) - order(b.kind));
}

/** Labels and their selectors as Kubernetes and Cilium describe them, for `reference.ts`. */
import type { LabelExpression, LabelSelector, Labels } from '../objects.js';

export interface Label {
  readonly source: 'k8s' | 'reserved';
  readonly key: string;
  readonly value: string;
}

export function k8sLabels(labels: Labels): Label[] {
  return Object.entries(labels).map(([key, value]) => ({ source: 'k8s', key, value }));
}

/** All of it; an empty selector matches whatever there is. */
export function matchesSelector({ matchLabels, matchExpressions }: LabelSelector, labels: readonly Label[]): boolean {
  for (const [key, value] of Object.entries(matchLabels)) if (valueOf(key, labels) !== value) return false;
  return matchExpressions.every((expression) => matchesExpression(expression, labels));
}

function matchesExpression({ key, operator, values }: LabelExpression, labels: readonly Label[]): boolean {
  const value = valueOf(key, labels);
  switch (operator) {
    case 'Exists':
      return value !== null;
    case 'DoesNotExist':
      return value === null;
    case 'In':
      return value !== null && values.includes(value);
    case 'NotIn':
      return value === null || !values.includes(value);
  }
}

/** `source:key`; without a source, or with `any`, whatever the label's source is. */
function valueOf(written: string, labels: readonly Label[]): string | null {
  const colon = written.indexOf(':');
  const source = colon < 0 ? 'any' : written.slice(0, colon);
  const key = written.slice(colon + 1);
  return labels.find((label) => label.key === key && (source === 'any' || label.source === source))?.value ?? null;
}

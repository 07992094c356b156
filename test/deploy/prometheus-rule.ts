/**
 * The PrometheusRule of the monitoring component, made from the rule file, which kustomize cannot put into an object by itself. Run as a
 * program it writes the file; its test compares.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { readRepositoryFile, repositoryRoot } from '../harness/repository.js';

export const PROMETHEUS_RULE = 'deploy/kustomize/components/monitoring/prometheus-rule.yaml';
export const PROMETHEUS_RULE_COMMAND = 'npx node test/dist/deploy/prometheus-rule.js';
export const RULE_FILE = 'deploy/alerts/tandem.rules.yaml';

export function prometheusRule(): string {
  const { groups } = parse(readRepositoryFile(RULE_FILE)) as { readonly groups: unknown };
  const labels = { 'app.kubernetes.io/name': 'tandem', 'app.kubernetes.io/component': 'monitoring', 'app.kubernetes.io/part-of': 'tandem' };
  const object = {
    apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata: { name: 'tandem', namespace: 'tandem-system', labels }, spec: { groups },
  };
  return `# Made by \`${PROMETHEUS_RULE_COMMAND}\` from ${RULE_FILE}: change it there.\n${stringify(object, { lineWidth: 0 })}`;
}

if (process.argv[1] === import.meta.filename) writeFileSync(join(repositoryRoot, PROMETHEUS_RULE), prometheusRule());

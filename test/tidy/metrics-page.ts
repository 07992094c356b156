/**
 * The reference page of metrics, made from the rows that the daemons read at a scrape. Run as a program it writes the page; its test
 * compares.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MEMBER_METRICS, metricName } from '@tandem/host';
import { repositoryRoot } from '../harness/repository.js';

export const METRICS_PAGE = 'docs/reference/metrics.md';
export const METRICS_PAGE_COMMAND = 'npx node test/dist/tidy/metrics-page.js';
/** As the settings' default has it. */
export const CILIUM_PREFIX = 'cilium_';

function table(): string {
  const rows = MEMBER_METRICS.map((row) => {
    const labels = Object.entries(row.labels ?? {}).map(([name, values]) => `\`${name}\`: ${values}`);
    const cells = [`\`${metricName(row, CILIUM_PREFIX)}\``, row.type, labels.length === 0 ? '–' : labels.join('; '), row.help];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| Metric | Type | Labels | Meaning |', '|---|---|---|---|', ...rows, ''].join('\n');
}

export function metricsPage(): string {
  return `# Metrics

<!-- Made by \`${METRICS_PAGE_COMMAND}\` from packages/host/src/member/member-metrics.ts: change it there. -->

Both daemons serve them at \`/metrics\` of \`--http-listen\`, in Prometheus' text format. Each series has two labels more than the table
says: \`node\` (\`--node-name\`) and \`role\` (\`agent\`, \`dns-proxy\`), so the two members of a node are told apart and brought together
without relabelling. All counters begin at 0 with the process.

What Cilium or Hubble count, too, has their name, type and labels. \`--metrics-cilium-prefix\` changes \`${CILIUM_PREFIX}\`: where Cilium runs on
the same nodes, its dashboards would add the two up. Two
differences: \`${CILIUM_PREFIX}policy_l7_total\` counts queries here, and answers as well there; and times are those of waiting, since the clock is
read once per batch of packets.

A scrape reads words that the data plane counts in anyway. It runs on the control thread and holds up no query. There is no label
with a name, an address or anything else that a client chooses; the table says what values each has.

[Alert rules](../../deploy/alerts/tandem.rules.yaml) on these lead to the [runbook](../runbook.md); there is a
[dashboard](../../deploy/dashboards/tandem.json), too.

${table()}`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(repositoryRoot, METRICS_PAGE), metricsPage());
}

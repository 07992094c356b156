/**
 * The reference page of settings, made from the array that the daemons read. Run as a program it writes the page; its
 * test compares.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultTextOf, environmentNameOf, flagOf, rangeTextOf, SETTINGS } from '@tandem/core';
import { repositoryRoot } from '../harness/repository.js';

export const SETTINGS_PAGE = 'docs/reference/settings.md';
export const SETTINGS_PAGE_COMMAND = 'npx node test/dist/tidy/settings-page.js';

export function settingsPage(): string {
  return `# Settings

<!-- Made by \`${SETTINGS_PAGE_COMMAND}\` from packages/core/src/base/settings.ts: change it there. -->

Each setting is a flag of both daemons, an environment variable and, under the flag's name without dashes, a key in the YAML
file that \`--config FILE\` (or \`TANDEM_CONFIG\`) names. A flag goes before the variable, the variable before the file, the
file before the default. A flag may be written \`--slots 4096\` or \`--slots=4096\`; a boolean one without a value is true.
Lists are repeated flags, commas in a variable, or a YAML list. Durations are written as Go writes them (\`100ms\`, \`1m30s\`).

A daemon that does not understand something says all that is wrong, a line each with its place, and exits with 64 (a flag),
65 (variable, file, or settings that contradict each other) or 69 (known, but not in this version).

${referenceTable()}`;
}

/** One row per setting, in the order of the array. */
function referenceTable(): string {
  const rows = SETTINGS.map((row) => {
    const range = rangeTextOf(row);
    const notes = [row.why];
    if (row.roles !== undefined) notes.push(`${row.roles.join(', ')} only`);
    if (row.status === 'notice') notes.push("accepted for the sake of Cilium's configuration, without effect");
    const cells = [`\`${`${flagOf(row)} ${row.unit}`.trimEnd()}\``, `\`${environmentNameOf(row)}\``, defaultTextOf(row), range === '' ? 'any' : range, notes.join('; ')];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return ['| Flag | Environment | Default | Allowed | Meaning |', '|---|---|---|---|---|', ...rows, ''].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(repositoryRoot, SETTINGS_PAGE), settingsPage());
}

/**
 * How results are printed: JSON and YAML show the API's form unchanged, tables are for people. Cells are padded as Cilium's
 * CLI does it, so that scripts that cut its columns keep working.
 */
import { stringify } from 'yaml';

export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

const CELL_WIDTH_MIN = 5;
const CELL_PADDING = 3;

/** `value` in the asked form; `table` is called only for tables. */
export function render(value: unknown, format: OutputFormat, table: () => string): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(value, null, 2)}\n`;
    case 'yaml':
      return stringify(value, { aliasDuplicateObjects: false });
    case 'table':
      return table();
  }
}

/** Left-aligned columns; the last cell of a row is not padded. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      // The last cell of a row sets no width.
      if (i < row.length - 1) widths[i] = Math.max(widths[i] ?? CELL_WIDTH_MIN, printable(cell).length + CELL_PADDING);
    });
  }
  return rows.map((row) => `${row.map((cell, i) => (i < row.length - 1 ? printable(cell).padEnd(widths[i]) : printable(cell))).join('')}\n`).join('');
}

/** Names come from strangers: no control character reaches the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`);
}

/** Labels without those that every pod has from Kubernetes and Cilium; the JSON form has all. */
export function ownLabels(labels: readonly string[]): string {
  return labels.filter((label) => !/^[a-z0-9]+:io\.(?:cilium|kubernetes)\./.test(label)).join(',');
}

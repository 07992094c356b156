/** Complaints about manifests: each names its place, all are collected, and their number is bounded. */

export interface Problem {
  readonly file: string;
  /** From 1; 0 when the complaint is about the file as a whole. */
  readonly line: number;
  /** From 1, in UTF-16 units; 0 when the complaint is about the file as a whole. */
  readonly column: number;
  /** Path within the object, such as `spec.egress[0].toPorts[1].ports[0].port`; '' for the whole document. */
  readonly field: string;
  readonly message: string;
  /** With an error, no objects are given out; a warning says what will not be enforced. */
  readonly severity: 'error' | 'warning';
}

/** Beyond this many, further complaints are only counted: a wrong file of 4 MiB must not make 100,000 lines. */
const PROBLEMS_MAX = 1000;

export class ProblemList {
  readonly #problems: Problem[] = [];
  #errors = 0;
  #dropped = 0;

  add(problem: Problem): void {
    if (problem.severity === 'error') this.#errors++;
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(problem);
    else this.#dropped++;
  }

  /** About a file as a whole. */
  addFile(file: string, message: string): void {
    this.add({ file, line: 0, column: 0, field: '', message, severity: 'error' });
  }

  get hasErrors(): boolean {
    return this.#errors > 0;
  }

  /** By file, line, column, field and message. */
  sorted(): Problem[] {
    const sorted = [...this.#problems].sort(
      (a, b) =>
        byText(a.file, b.file) ||
        a.line - b.line ||
        a.column - b.column ||
        byText(a.field, b.field) ||
        byText(a.message, b.message),
    );
    if (this.#dropped > 0) {
      const message = `${this.#dropped} more problems are not shown`;
      sorted.push({ file: '', line: 0, column: 0, field: '', message, severity: this.hasErrors ? 'error' : 'warning' });
    }
    return sorted;
  }
}

/** One line: `policy.yaml:12:9: spec.egress[0].toCIDR: error: …`. */
export function formatProblem({ file, line, column, field, message, severity }: Problem): string {
  const place = line > 0 ? `${file}:${line}:${column}` : file;
  return [place, field, severity, message].filter((part) => part !== '').join(': ');
}

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

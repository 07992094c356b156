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
  private readonly errors: Problem[] = [];
  private readonly warnings: Problem[] = [];
  private count = 0;

  add(problem: Problem): void {
    this.count++;
    const list = problem.severity === 'error' ? this.errors : this.warnings;
    if (list.length < PROBLEMS_MAX) list.push(problem);
  }

  /** Those of another list; what was dropped there is counted here, too. */
  addAll(other: ProblemList): void {
    for (const problem of [...other.errors, ...other.warnings]) this.add(problem);
    this.count += other.count - other.errors.length - other.warnings.length;
  }

  /** About a file as a whole. */
  addFile(file: string, message: string, severity: Problem['severity'] = 'error'): void {
    this.add({ file, line: 0, column: 0, field: '', message, severity });
  }

  get hasErrors(): boolean {
    return this.errors.length > 0;
  }

  /** Warnings make room for errors. By file, line, column, field and message. */
  sorted(): Problem[] {
    const shown = [...this.errors, ...this.warnings].slice(0, PROBLEMS_MAX);
    const sorted = shown.sort(
      (a, b) =>
        byText(a.file, b.file) ||
        a.line - b.line ||
        a.column - b.column ||
        byText(a.field, b.field) ||
        byText(a.message, b.message),
    );
    const dropped = this.count - sorted.length;
    if (dropped > 0) {
      const message = `${dropped} more problems are not shown`;
      sorted.push({ file: '', line: 0, column: 0, field: '', message, severity: this.hasErrors ? 'error' : 'warning' });
    }
    return sorted;
  }
}

/** One line: `policy.yaml:12:9: spec.egress[0].toCIDR: error: …`. What it quotes is a stranger's: no control character gets out. */
export function formatProblem({ file, line, column, field, message, severity }: Problem): string {
  const place = line > 0 ? `${file}:${line}:${column}` : file;
  const text = [place, field, severity, message].filter((part) => part !== '').join(': ');
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}`);
}

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

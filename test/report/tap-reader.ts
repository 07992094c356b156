/**
 * Reads the TAP that the test runner writes, line by line, and counts what was asserted. A line that sums up a subtest
 * is not counted itself, unless it failed and nothing within did (a crash, a time-out, a wrong exit code).
 */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export type TapEvent =
  | { readonly kind: 'file'; readonly name: string; readonly passed: boolean; readonly counts: Counts; readonly milliseconds: number | null }
  | { readonly kind: 'failure'; readonly path: readonly string[]; readonly details: readonly string[] }
  | { readonly kind: 'comment'; readonly path: readonly string[]; readonly text: string }
  | { readonly kind: 'output'; readonly text: string };

interface Level {
  readonly name: string;
  readonly counts: Counts;
  points: number;
}

interface Pending {
  readonly path: readonly string[];
  readonly indent: number;
  readonly details: string[];
}

const INDENT = 4;
const POINT = /^( *)(not )?ok(?: \d+)?(?: - (.*))?$/;
const DIRECTIVE = / # (SKIP|TODO|time=)\s*(.*)$/i;
const DETAILS_MAX_LINES = 60;

export class TapReader {
  readonly counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  private readonly emit: (event: TapEvent) => void;
  /** Open subtests, the outermost first. */
  private readonly levels: Level[] = [];
  private yamlIndent: number | null = null;
  private failure: Pending | null = null;

  constructor(emit: (event: TapEvent) => void) {
    this.emit = emit;
  }

  line(text: string): void {
    if (this.inDetails(text)) return;
    this.closeFailure();
    const indent = text.length - text.trimStart().length;
    const point = POINT.exec(text);
    if (point !== null) this.point(indent, point[2] !== undefined, point[3] ?? '');
    else if (text.trimStart().startsWith('# Subtest: ')) this.open(indent, text.trimStart().slice('# Subtest: '.length));
    else if (text.trimStart().startsWith('# ')) this.comment(text.trimStart().slice(2));
    else if (!/^\s*(\d+\.\.\d+.*|TAP version \d+|\}?\s*)$/.test(text)) this.emit({ kind: 'output', text });
  }

  end(): void {
    this.closeFailure();
  }

  private inDetails(text: string): boolean {
    const trimmed = text.trimStart();
    const indent = text.length - trimmed.length;
    if (this.yamlIndent === null) {
      if (trimmed !== '---') return false;
      this.yamlIndent = indent;
      return true;
    }
    if (indent === this.yamlIndent && trimmed === '...') this.yamlIndent = null;
    else if (this.failure !== null && this.failure.details.length < DETAILS_MAX_LINES) {
      this.failure.details.push(text.slice(Math.min(this.yamlIndent, indent)));
    }
    return true;
  }

  private open(indent: number, name: string): void {
    this.levels.length = Math.min(this.levels.length, indent / INDENT);
    this.levels.push({ name, counts: { passed: 0, failed: 0, skipped: 0 }, points: 0 });
  }

  private point(indent: number, failedHere: boolean, description: string): void {
    const depth = indent / INDENT;
    const subtest = this.levels.length > depth ? this.levels[depth] : null;
    this.levels.length = Math.min(this.levels.length, depth);
    const directive = DIRECTIVE.exec(description);
    const name = directive === null ? description : description.slice(0, directive.index);
    const within: Counts = subtest !== null && subtest.points > 0 ? subtest.counts : { passed: 0, failed: 0, skipped: 0 };
    const path = [...this.levels.map((level) => level.name), name];
    if (subtest === null || subtest.points === 0) {
      if (directive !== null && /^(SKIP|TODO)$/i.test(directive[1])) within.skipped++;
      else if (failedHere) within.failed++;
      else within.passed++;
      if (within.failed > 0) this.failure = { path, indent, details: [] };
    } else if (failedHere && within.failed === 0) {
      within.failed++;
      this.failure = { path, indent, details: [] };
    }
    this.add(within);
    if (depth === 0) {
      const milliseconds = /time=([\d.]+)ms/.exec(description)?.[1];
      this.emit({ kind: 'file', name, passed: !failedHere, counts: within, milliseconds: milliseconds === undefined ? null : Number(milliseconds) });
    }
  }

  /** A subtest's sum goes one level up, so each assertion reaches the total once. */
  private add(counts: Counts): void {
    const parent = this.levels.at(-1);
    const sum = parent?.counts ?? this.counts;
    if (parent !== undefined) parent.points++;
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
  }

  private comment(text: string): void {
    if (/^(time=|\{ total:|No coverage|failed \d|skip: )/.test(text)) return;
    this.emit({ kind: 'comment', path: this.levels.map((level) => level.name), text });
  }

  private closeFailure(): void {
    if (this.failure === null) return;
    this.emit({ kind: 'failure', path: this.failure.path, details: this.failure.details });
    this.failure = null;
  }
}

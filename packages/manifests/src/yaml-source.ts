/**
 * YAML (or JSON) text → documents whose aliases are resolved and whose dangers are gone: what no reader could walk in
 * bounded time and memory is refused here.
 *
 * Invariant: following the nodes of `documents` through `resolve` never loops; what else is wrong with them (double keys,
 * merge keys, aliases of nothing) has been reported. Readers still count what they visit (`Budget`), since aliases can multiply it.
 * Does not know: kinds of objects.
 */
import {
  LineCounter,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  type Alias,
  type Document,
  type Node,
} from 'yaml';
import { jsonFault } from './json-fault.js';
import type { Problem, ProblemList } from './problem.js';

/** Kubernetes refuses objects above 3 MiB; a folder's file may hold several. */
export const FILE_CHARACTERS_MAX = 4 * 1024 * 1024;
export const DOCUMENTS_MAX = 10_000;
export const DEPTH_MAX = 64;
export const TOO_DEEP = `is nested more than ${DEPTH_MAX} levels deep`;
const SYNTAX_ERRORS_MAX = 20;
/** Brackets open at one time, strings included: far above any use, low enough for the parser's time. */
const OPEN_BRACKETS_MAX = 10_000;
const ALIASES_MAX = 1000;
const JSON_SUFFIX = '.json';
/** Of the library, for a star with nothing after it. */
const EMPTY_ALIAS = 'Alias cannot be an empty string';
const BYTE_ORDER_MARK = '\ufeff';
/** Nodes that readers may visit in one file, aliases followed. */
const VISITS_MAX = 1_000_000;

export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** One file's documents, with what is needed to read them and to complain about them. */
export class YamlSource {
  readonly file: string;
  readonly documents: readonly Document.Parsed[];
  /** Whether some of its documents could not be read at all: reported. */
  readonly hasFaults: boolean;
  private readonly problems: ProblemList;
  private readonly lines: LineCounter;
  private readonly targets: ReadonlyMap<Alias, Node>;
  private visitsLeft = VISITS_MAX;

  constructor(
    file: string,
    parts: {
      readonly documents: readonly Document.Parsed[];
      readonly hasFaults: boolean;
      readonly problems: ProblemList;
      readonly lines: LineCounter;
      readonly targets: ReadonlyMap<Alias, Node>;
    },
  ) {
    this.file = file;
    this.documents = parts.documents;
    this.hasFaults = parts.hasFaults;
    this.problems = parts.problems;
    this.lines = parts.lines;
    this.targets = parts.targets;
  }

  /** The node, or what its alias stands for. Throws `VisitLimit` when the file's aliases multiply beyond all use. */
  resolve(node: Node | null): Node | null {
    if (--this.visitsLeft < 0) throw new VisitLimit();
    return node !== null && isAlias(node) ? (this.targets.get(node) ?? null) : node;
  }

  placeOf(offset: number): { readonly file: string; readonly line: number; readonly column: number } {
    const { line, col } = this.lines.linePos(offset);
    return { file: this.file, line, column: col };
  }

  report(offset: number, field: string, message: string, severity: Problem['severity']): void {
    this.problems.add({ ...this.placeOf(offset), field, message, severity });
  }
}

export class VisitLimit extends Error {
  override readonly name = 'VisitLimit';
}

/** What can be read of the file; the rest is reported to `problems`. null when nothing can. */
export function parseSource({ path, text: bytes }: SourceFile, problems: ProblemList): YamlSource | null {
  const text = bytes.startsWith(BYTE_ORDER_MARK) ? bytes.slice(1) : bytes;
  if (text.length > FILE_CHARACTERS_MAX) {
    problems.addFile(path, `has ${text.length} characters; the limit is ${FILE_CHARACTERS_MAX}`);
    return null;
  }
  if (countMarkers(text) > DOCUMENTS_MAX) {
    problems.addFile(path, `has more than ${DOCUMENTS_MAX} documents`);
    return null;
  }
  if (opensTooMuch(text)) {
    problems.addFile(path, TOO_DEEP);
    return null;
  }
  if (path.endsWith(JSON_SUFFIX) && reportJson(path, text, problems)) return null;
  const lines = new LineCounter();
  const documents = parseText(path, text, lines, problems);
  if (documents === null) return null;
  const targets = new Map<Alias, Node>();
  const report = (offset: number, message: string): void => {
    const { line, col } = lines.linePos(offset);
    problems.add({ file: path, line, column: col, field: '', message, severity: 'error' });
  };
  const readable = documents.filter((document) => {
    if (document.errors.length > 0) {
      reportSyntax(document, report);
      return false;
    }
    return document.contents === null || new DocumentCheck(targets, report).run(document.contents);
  });
  return new YamlSource(path, { documents: readable, hasFaults: readable.length < documents.length, problems, lines, targets });
}

/** Whether the text is no JSON: reported. A blank one is left to the caller. */
function reportJson(path: string, text: string, problems: ProblemList): boolean {
  const fault = text.trim() === '' ? null : jsonFault(text);
  if (fault === null) return false;
  const before = text.slice(0, fault.offset);
  const line = before.split('\n').length;
  const column = fault.offset - before.lastIndexOf('\n');
  problems.add({ file: path, line, column, field: '', message: fault.message, severity: 'error' });
  return true;
}

/** One broken bracket can break every line after it: the same complaint is made once, and a few are enough. */
function reportSyntax(document: Document.Parsed, report: (offset: number, message: string) => void): void {
  const said = new Set<string>();
  for (const { pos, message, code } of document.errors) {
    const text = code === 'RESOURCE_EXHAUSTION' ? TOO_DEEP : message === EMPTY_ALIAS ? 'a star without quotes stands for another value; write "*" in quotes' : message;
    const key = code === 'RESOURCE_EXHAUSTION' ? text : `${pos[0]} ${text}`;
    if (said.has(key) || said.size >= SYNTAX_ERRORS_MAX) continue;
    said.add(key);
    report(pos[0], text);
  }
}

function parseText(path: string, text: string, lines: LineCounter, problems: ProblemList): Document.Parsed[] | null {
  // JSON has no tabs inside strings, and YAML takes none as indentation: blanks of the same width lose nothing.
  const source = path.endsWith(JSON_SUFFIX) ? text.replaceAll('\t', ' ') : text;
  try {
    const parsed = parseAllDocuments(source, {
      lineCounter: lines,
      prettyErrors: false,
      // Quadratic in the library; `DocumentCheck` does it with a set.
      uniqueKeys: false,
      logLevel: 'silent',
      merge: false,
      version: '1.2',
    });
    return [...parsed] as Document.Parsed[];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    problems.addFile(path, error instanceof RangeError ? TOO_DEEP : `cannot be read: ${error.message}`);
    return null;
  }
}

/** Walks one document in order: anchors before their aliases, as YAML has it. */
class DocumentCheck {
  private readonly targets: Map<Alias, Node>;
  private readonly report: (offset: number, message: string) => void;
  private readonly anchors = new Map<string, Node>();
  /** Nodes that are being walked: an alias to one of them is a cycle. */
  private readonly open = new Set<Node>();
  private aliases = 0;
  /** Set when the document cannot be read at all. */
  private stopped = false;

  constructor(targets: Map<Alias, Node>, report: (offset: number, message: string) => void) {
    this.targets = targets;
    this.report = report;
  }

  /** Whether readers may go on, complaints or not. */
  run(contents: Node): boolean {
    this.walk(contents, 0);
    return !this.stopped;
  }

  private walk(node: Node | null, depth: number): void {
    if (node === null || this.stopped) return;
    if (depth > DEPTH_MAX) return this.fail(node, TOO_DEEP);
    if (isAlias(node)) return this.alias(node);
    const { anchor } = node as { anchor?: string };
    if (anchor !== undefined) this.anchors.set(anchor, node);
    this.open.add(node);
    if (isSeq(node)) for (const item of node.items) this.walk(item as Node | null, depth + 1);
    if (isMap(node)) this.mapping(node, depth);
    this.open.delete(node);
  }

  private mapping(node: Node & { items: unknown[] }, depth: number): void {
    const seen = new Set<string>();
    for (const pair of node.items) {
      if (!isPair(pair)) continue;
      const key = pair.key as Node | null;
      if (!isScalar(key) || typeof key.value !== 'string') {
        const text = isScalar(key) ? JSON.stringify(key.value) : 'a collection or alias';
        this.complain(key ?? node, `${text} as a key: keys are strings; put quotes around it`);
        continue;
      }
      if (key.value === '<<' && key.type === 'PLAIN') this.complain(key, 'merge keys (<<) are not supported; write the fields out');
      else if (seen.has(key.value)) this.complain(key, `the key "${key.value}" comes twice in one mapping`);
      seen.add(key.value);
      this.walk(pair.value as Node | null, depth + 1);
    }
  }

  private alias(node: Alias): void {
    const target = this.anchors.get(node.source);
    if (++this.aliases > ALIASES_MAX) this.fail(node, `the document has more than ${ALIASES_MAX} aliases`);
    else if (target === undefined) this.complain(node, `the alias *${node.source} has no anchor before it; a text that begins with a star is written in quotes: "*${node.source}"`);
    else if (this.open.has(target)) this.fail(node, `the alias *${node.source} stands inside what it stands for`);
    else this.targets.set(node, target);
  }

  private complain(node: Node, message: string): void {
    this.report(node.range?.[0] ?? 0, message);
  }

  private fail(node: Node, message: string): void {
    this.complain(node, message);
    this.stopped = true;
  }
}

function countMarkers(text: string): number {
  let count = 1;
  for (let at = text.indexOf('\n---'); at >= 0 && count <= DOCUMENTS_MAX; at = text.indexOf('\n---', at + 1)) count++;
  return count;
}

function opensTooMuch(text: string): boolean {
  let open = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5b || code === 0x7b) open++;
    else if ((code === 0x5d || code === 0x7d) && open > 0) open--;
    if (open > OPEN_BRACKETS_MAX) return true;
  }
  return false;
}

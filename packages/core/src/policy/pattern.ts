/**
 * matchName and matchPattern: what is admitted, and what each one means, after Cilium's pkg/fqdn/matchpattern and
 * pkg/policy/api/fqdn.go (reference/cilium-semantics.md §3.1).
 *
 * | Written | Matches |
 * |---|---|
 * | only stars, with or without a final dot | L7 rule: anything; toFQDNs: names all of whose bytes are of the class, and the root |
 * | `**.suffix` (two or more stars, a dot, at the start) | one or more whole labels before the suffix, never the bare suffix |
 * | any other run of stars | zero or more bytes of the class inside that label |
 *
 * Invariant: a wildcard never crosses a label and matches only letters, digits, `-` and `_` (the class).
 * Does not know: wire names; `name-table.ts` matches.
 */
import type { FqdnSelector } from './snapshot.js';

/** Characters of an admitted text, after trimming blanks (Cilium's limit on both forms). */
export const PATTERN_CHARACTERS_MAX = 255;
/** RFC 1035 §2.3.4. */
const LABEL_BYTES_MAX = 63;
const WIRE_NAME_BYTES_MAX = 255;

export type Admission =
  | { readonly ok: true; /** Lower case, with its trailing dot. */ readonly text: string }
  | { readonly ok: false; /** What is wrong, as the second half of a sentence. */ readonly reason: string };

export function admitMatchName(text: string): Admission {
  return admit(text, /^[-a-zA-Z0-9_.]$/, 'letters, digits, "-", "_" and "."');
}

export function admitMatchPattern(text: string): Admission {
  return admit(text, /^[-a-zA-Z0-9_.*]$/, 'letters, digits, "-", "_", "." and "*"');
}

/** An admitted text as it can be admitted again: without its dot where that is one character too many. */
export function asGiven(text: string): string {
  return text.length > PATTERN_CHARACTERS_MAX && text.endsWith('.') ? text.slice(0, -1) : text;
}

/** What kind of name a text asks for. */
export type NamePattern =
  /** Any name at all, odd bytes included. */
  | { readonly kind: 'any' }
  /** toFQDNs' match-all: every label of the class, or the root. */
  | { readonly kind: 'anyHost' }
  /** No DNS name is that long: matches nothing. */
  | { readonly kind: 'never' }
  | { readonly kind: 'exact'; readonly suffix: string }
  /** One label of the class before the suffix. */
  | { readonly kind: 'oneLabel'; readonly suffix: string }
  /** One or more labels of the class before the suffix. */
  | { readonly kind: 'manyLabels'; readonly suffix: string }
  | {
      readonly kind: 'glob';
      /** Labels before the suffix, left to right; each may hold stars (runs collapsed), the last one does. */
      readonly labels: readonly string[];
      /** One or more whole labels come before them. */
      readonly leadingMany: boolean;
      readonly suffix: string;
    };

/** `dns` is an L7 rule of `toPorts.rules.dns`, `fqdn` a selector of `toFQDNs`: match-all differs. */
export type PatternContext = 'dns' | 'fqdn';

/** Meaning of an admitted matchPattern (or matchName: a text without stars). Suffixes lack the trailing dot. */
export function parsePattern(text: string, context: PatternContext): NamePattern {
  if (isMatchAll(text)) return { kind: context === 'dns' ? 'any' : 'anyHost' };
  const many = /^\*{2,}\./.exec(text);
  const rest = (many === null ? text : text.slice(many[0].length)).replace(/\.$/, '');
  const labels = rest.split('.').map((label) => label.replace(/\*+/g, '*'));
  let literalFrom = labels.length;
  while (literalFrom > 0 && !labels[literalFrom - 1].includes('*')) literalFrom--;
  const suffix = labels.slice(literalFrom).join('.');
  if (labels.some((label) => label.replaceAll('*', '').length > LABEL_BYTES_MAX)) return { kind: 'never' };
  if (shortestWireBytes(labels) + (many === null ? 0 : 2) > WIRE_NAME_BYTES_MAX) return { kind: 'never' };
  if (literalFrom === 0) return { kind: many === null ? 'exact' : 'manyLabels', suffix };
  if (literalFrom === 1 && labels[0] === '*' && many === null) return { kind: 'oneLabel', suffix };
  return { kind: 'glob', labels: labels.slice(0, literalFrom), leadingMany: many !== null, suffix };
}

/** The one or two patterns of a selector or DNS rule; both apply. */
export function patternsOf(rule: FqdnSelector, context: PatternContext): NamePattern[] {
  const patterns: NamePattern[] = [];
  if (rule.matchName !== null) patterns.push(parsePattern(rule.matchName, context));
  if (rule.matchPattern !== null) patterns.push(parsePattern(rule.matchPattern, context));
  return patterns;
}

export function isMatchAll(text: string): boolean {
  return /^\*+\.?$/.test(text);
}

function admit(text: string, character: RegExp, characters: string): Admission {
  const trimmed = text.trim();
  if (trimmed === '') return { ok: false, reason: 'is empty' };
  if (trimmed.length > PATTERN_CHARACTERS_MAX) {
    return { ok: false, reason: `has ${trimmed.length} characters; the limit is ${PATTERN_CHARACTERS_MAX}` };
  }
  for (const one of trimmed) {
    if (!character.test(one)) return { ok: false, reason: `holds ${JSON.stringify(one)}; allowed are ${characters}` };
  }
  if (trimmed.startsWith('.')) return { ok: false, reason: 'begins with a dot' };
  if (trimmed.includes('..')) return { ok: false, reason: 'has an empty label (two dots in a row)' };
  // Lower case only now: some foreign letters (the Kelvin sign) have an ASCII lower case.
  const lower = trimmed.toLowerCase();
  return { ok: true, text: isMatchAll(lower) || lower.endsWith('.') ? lower : `${lower}.` };
}

/** Wire bytes of the shortest name that these labels can match: a label of stars takes at least one byte. */
function shortestWireBytes(labels: readonly string[]): number {
  let bytes = 1;
  for (const label of labels) bytes += 1 + Math.max(1, label.replaceAll('*', '').length);
  return bytes;
}

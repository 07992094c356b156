/**
 * The little of Markdown that the rules need: links, headings, fenced blocks. Links inside code are not links.
 */
export interface Link {
  readonly target: string;
  readonly line: number;
}

interface Line {
  readonly text: string;
  readonly number: number;
}

function linesOutsideCode(markdown: string): Line[] {
  const found: Line[] = [];
  let inFence = false;
  markdown.split('\n').forEach((text, index) => {
    if (/^\s*(```|~~~)/.test(text)) inFence = !inFence;
    else if (!inFence) found.push({ text: text.replace(/`[^`]*`/g, '``'), number: index + 1 });
  });
  return found;
}

/** Inline links, images and reference definitions. */
export function linksOf(markdown: string): Link[] {
  const found: Link[] = [];
  for (const { text, number } of linesOutsideCode(markdown)) {
    for (const match of text.matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g)) found.push({ target: match[1], line: number });
    const definition = /^\s{0,3}\[[^\]]+\]:\s+(\S+)/.exec(text);
    if (definition !== null) found.push({ target: definition[1], line: number });
  }
  return found;
}

/** Anchors as code hosts make them from headings; repeats get `-1`, `-2`. */
export function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  let inFence = false;
  for (const text of markdown.split('\n')) {
    if (/^\s*(```|~~~)/.test(text)) inFence = !inFence;
    const heading = inFence ? null : /^#{1,6}\s+(.*?)\s*#*$/.exec(text);
    if (heading === null) continue;
    const plain = heading[1].replace(/[`*]/g, '').replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const slug = plain.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '').replace(/\s/g, '-');
    let unique = slug;
    for (let n = 1; anchors.has(unique); n++) unique = `${slug}-${String(n)}`;
    anchors.add(unique);
  }
  return anchors;
}

/** Lines of the fenced blocks of one language. */
export function fencedLines(markdown: string, language: string): string[] {
  const found: string[] = [];
  let open: string | null = null;
  for (const text of markdown.split('\n')) {
    const fence = /^\s*```(\w*)/.exec(text);
    if (fence !== null) open = open === null ? fence[1] : null;
    else if (open === language) found.push(text);
  }
  return found;
}

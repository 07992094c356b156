/**
 * The commands of docs/install.md, in their order, as one script: what somebody types who follows the page word for word. What needs nodes, a
 * registry or a container engine is left out, by name and with its reason, so that nothing is left out unseen.
 */
import { readRepositoryFile } from '../harness/repository.js';

export const INSTALL_PAGE = 'docs/install.md';

/** By how a block begins. */
export const LEFT_OUT: Readonly<Record<string, string>> = {
  'uname -r': "looks at a node's kernel and modules",
  'docker build': 'needs a container engine and a registry',
  'kubectl -n tandem-system rollout status': 'needs nodes that run pods',
  'kubectl -n demo run client': 'needs nodes that run pods',
};

export interface Block {
  readonly heading: string;
  readonly text: string;
  readonly leftOut: string | null;
}

export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  let open: string[] | null = null;
  let language = '';
  for (const line of markdown.split('\n')) {
    const fence = /^```(\w*)/.exec(line);
    if (fence === null) {
      if (open !== null) open.push(line);
      else heading = /^#+ (.*)$/.exec(line)?.[1] ?? heading;
    } else if (open === null) {
      [open, language] = [[], fence[1]];
    } else {
      const text = `${open.join('\n')}\n`;
      if (language === 'sh') blocks.push({ heading, text, leftOut: Object.entries(LEFT_OUT).find(([start]) => text.startsWith(start))?.[1] ?? null });
      open = null;
    }
  }
  return blocks;
}

/** Ends at the first command that fails, saying under which heading it stands. */
export function installScript(): string {
  const parts = blocksOf(readRepositoryFile(INSTALL_PAGE)).filter(({ leftOut }) => leftOut === null)
    .map(({ heading, text }) => `at='${heading.replaceAll("'", '')}'\necho "== $at"\n${text}`);
  return ['set -eu', 'at=', "trap '[ $? -eq 0 ] || echo \"failed under: $at\" >&2' EXIT", ...parts].join('\n');
}

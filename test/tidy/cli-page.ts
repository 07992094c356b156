/**
 * The reference page of the command line, made from the commands themselves: each one's help text as it is printed. Run as a program it writes
 * the page; its test compares.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helpTexts } from '@tandem/cli';
import { repositoryRoot } from '../harness/repository.js';

export const CLI_PAGE = 'docs/reference/cli.md';
export const CLI_PAGE_COMMAND = 'npx node test/dist/tidy/cli-page.js';

export function cliPage(): string {
  const commands = helpTexts();
  const index = commands.map(({ path, summary }) => `| [\`${path}\`](#${path.replaceAll(' ', '-')}) | ${summary} |`);
  const sections = commands.map(({ path, help }) => `## ${path}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\`\n`);
  return `# Command line

<!-- Made by \`${CLI_PAGE_COMMAND}\` from packages/cli/src: change it there. -->

The JSON forms are those of the [API](api.md), and of Hubble where it is flows. Common options may also stand before the command. A colour, a progress
line and a redrawn screen are for terminals only; \`NO_COLOR\` takes colours away. Exit codes: 0 clean, 64 usage, 65 configuration or manifest, 69
resource not to be had, 70 broken invariant.

| Command | |
|---|---|
${index.join('\n')}

${sections.join('\n')}`;
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(join(repositoryRoot, CLI_PAGE), cliPage());
}

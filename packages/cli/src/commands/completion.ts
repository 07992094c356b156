/** `tandem completion`: a script that teaches a shell this program's commands, options and choices. */
import { Argument, Command } from 'commander';
import type { Io } from '../io.js';
import { shapeOf, type CommandShape } from '../completion/command-tree.js';
import { bashScript, fishScript, zshScript } from '../completion/scripts.js';

const SCRIPTS: Readonly<Record<string, (root: CommandShape) => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

export function completionCommand(io: Io): Command {
  return new Command('completion')
    .description('Print a script that completes commands, options and choices in a shell.')
    .addArgument(new Argument('<SHELL>', 'for which shell').choices(Object.keys(SCRIPTS)))
    .allowExcessArguments(false)
    .addHelpText('after', `
Examples:
  tandem completion bash > ~/.local/share/bash-completion/completions/tandem
  tandem completion zsh > "\${fpath[1]}/_tandem"
  tandem completion fish > ~/.config/fish/completions/tandem.fish
  source <(tandem completion bash)
`)
    .action((shell: string, _: unknown, command: Command) => {
      io.out(SCRIPTS[shell](shapeOf(command.parent!)));
    });
}

/** Completion for bash, zsh and fish, made from the command tree. The scripts ask nobody: what they know is in them. */
import { type CommandShape, flat, type OptionShape, type Values } from './command-tree.js';

export function bashScript(root: CommandShape): string {
  const commands = flat(root);
  return `# Completion of ${root.path} for bash, made by: ${root.path} completion bash
_${root.path}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path=${root.path} known='' i
  COMPREPLY=()
  # bash takes --option=value for three words.
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${patterns(commands.slice(1).map(({ path }) => path))}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $prev" in
${valueCases(commands, {
  words: (texts) => `COMPREPLY=($(compgen -W ${quoted(texts.join(' '))} -- "$cur")); return`,
  file: 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return',
  unknown: 'return',
})}
  esac
  if [[ $cur == -* ]]; then
    case "$path" in
${commands.map(({ path, options }) => `      ${quoted(path)}) known=${quoted(optionWords(options).join(' '))} ;;`).join('\n')}
    esac
  else
    case "$path" in
${commands.map((command) => `      ${quoted(command.path)}) ${argumentsOf(command, 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return')} ;;`).join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$known" -- "$cur"))
}
complete -F _${root.path} ${root.path}
`;
}

export function zshScript(root: CommandShape): string {
  const commands = flat(root);
  return `#compdef ${root.path}
# Completion of ${root.path} for zsh, made by: ${root.path} completion zsh
_${root.path}() {
  local cur=\${words[CURRENT]} prev=\${words[CURRENT-1]} path_=${root.path} known='' i
  if [[ $cur == --*=* ]]; then prev=\${cur%%=*}; compset -P '*='; fi
  for ((i = 2; i < CURRENT; i++)); do
    case "$path_ \${words[i]}" in
      (${patterns(commands.slice(1).map(({ path }) => path))}) path_="$path_ \${words[i]}" ;;
    esac
  done
  case "$path_ $prev" in
${valueCases(commands, { words: (texts) => `compadd -- ${texts.map(quoted).join(' ')}; return`, file: '_files; return', unknown: 'return' })}
  esac
  if [[ $cur == -* ]]; then
    case "$path_" in
${commands.map(({ path, options }) => `      (${quoted(path)}) compadd -- ${optionWords(options).join(' ')} ;;`).join('\n')}
    esac
  else
    case "$path_" in
${commands.map((command) => `      (${quoted(command.path)}) ${argumentsOf(command, '_files; return')} ;;`).join('\n')}
    esac
    compadd -- \${=known}
  fi
}
if [[ $funcstack[1] == _${root.path} ]]; then _${root.path} "$@"; else compdef _${root.path} ${root.path}; fi
`;
}

export function fishScript(root: CommandShape): string {
  const commands = flat(root);
  const at = (path: string): string => `-n ${fishQuoted(`__${root.path}_at ${path}`)}`;
  const lines = commands.flatMap(({ path, commands: inner, options, values }) => [
    ...inner.map((one) => `complete -c ${root.path} ${at(path)} -a ${fishQuoted(one.path.slice(path.length + 1))} -d ${fishQuoted(one.why)}`),
    ...options.map((option) => `complete -c ${root.path} ${at(path)} ${fishOption(option)}`),
    ...(inner.length > 0 || values === 'unknown' ? [] : [`complete -c ${root.path} ${at(path)} ${values === 'file' ? '-F' : `-a ${fishQuoted(values.join(' '))}`}`]),
  ]);
  return `# Completion of ${root.path} for fish, made by: ${root.path} completion fish
function __${root.path}_at
    set -l path ${root.path}
    for word in (commandline -opc)[2..]
        switch "$path $word"
            case ${commands.slice(1).map(({ path }) => fishQuoted(path)).join(' ')}
                set path "$path $word"
        end
    end
    test "$path" = "$argv"
end
complete -c ${root.path} -f
${lines.join('\n')}
`;
}

interface ValueWays {
  readonly words: (texts: readonly string[]) => string;
  readonly file: string;
  readonly unknown: string;
}

/** One case per kind of value; options whose value may be left out do not keep from others. */
function valueCases(commands: readonly CommandShape[], ways: ValueWays): string {
  const cases = new Map<string, string[]>();
  for (const { path, options } of commands) {
    for (const { short, long, values, isOptional } of options) {
      if (values === null || (isOptional && values === 'unknown')) continue;
      const way = wayOf(values, ways);
      const names = [long, ...(short === null ? [] : [short])].map((name) => `${path} ${name}`);
      cases.set(way, [...(cases.get(way) ?? []), ...names]);
    }
  }
  return [...cases].map(([way, paths]) => `    (${patterns(paths)}) ${way} ;;`).join('\n');
}

function wayOf(values: Values, ways: ValueWays): string {
  return values === 'file' ? ways.file : values === 'unknown' ? ways.unknown : ways.words(values);
}

function argumentsOf({ path, commands, values }: CommandShape, file: string): string {
  if (commands.length > 0) return `known=${quoted(commands.map((one) => one.path.slice(path.length + 1)).join(' '))}`;
  return values === 'file' ? file : `known=${quoted(values === 'unknown' ? '' : values.join(' '))}`;
}

function optionWords(options: readonly OptionShape[]): string[] {
  return options.flatMap(({ short, long }) => (short === null ? [long] : [short, long]));
}

function patterns(paths: readonly string[]): string {
  return paths.map(quoted).join('|');
}

function fishOption({ short, long, why, values, isOptional }: OptionShape): string {
  const names = `${short === null ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
  const value = values === null || isOptional ? '' : values === 'file' ? ' -rF' : values === 'unknown' ? ' -x' : ` -x -a ${fishQuoted(values.join(' '))}`;
  return `${names}${value} -d ${fishQuoted(why)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

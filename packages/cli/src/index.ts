/** The door of the CLI: the program, to be run inside another process, and its help texts. */
export { type HelpText, helpTexts } from './help-texts.js';
export { processIo, type Io } from './io.js';
export { runCli } from './program.js';

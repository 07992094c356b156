/** The door of the CLI: the program, to be run inside another process. */
export { processIo, type Io } from './io.js';
export { runCli } from './program.js';

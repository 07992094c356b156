/** The tables as they should be: what is compiled, and what is written. */
export { compileProgram } from './compile.js';
export type { ProgramInput, ProxyAddress } from './input.js';
export type { OpenElement, Program } from './program.js';
export { changeText, removalText, wholeText, type OpenElements, type StandingTable } from './text.js';

/** The one door of `agent`: a program, little to import. */
export { startAgent } from './agent.js';

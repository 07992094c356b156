/** The door of the redirect folder. */
export { type Divert, removeDivert, setUpDivert } from './divert.js';
export { Redirect, type RedirectOptions, type RedirectWants } from './redirect.js';
export { type RedirectRules, removeRedirect, setUpRedirect } from './redirect-rules.js';

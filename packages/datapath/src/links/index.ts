export { LinkWatch } from './link-watch.js';

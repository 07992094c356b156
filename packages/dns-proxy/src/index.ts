/** The one door of `dns-proxy`: a program, nothing to import. */
export { startDnsProxy } from './dns-proxy.js';

/** Where the data plane's thread finds `opener.ts`, in this package as compiled and in a daemon's bundle: both have it beside this module. */
export const OPENER_URL = new URL('./opener.js', import.meta.url).href;

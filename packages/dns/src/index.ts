/** The door of `@tandem/dns`: bytes ↔ DNS for the query path. The slow, typed codec has a door of its own: `@tandem/dns/codec`. */
export * from './constants.js';
export { SCAN, scanCodeName } from './scan-code.js';
export { LOWER_CASE, ROOT_HASH, hashLabel } from './hash.js';
export type { EdnsFields } from './edns.js';
export { QueryView, scanName, scanQuery } from './query-view.js';
export { AnswerView, sameQuestion, scanAnswer } from './answer-view.js';
export { copyName, nameEquals, nameEqualsExact, skipName } from './wire-name.js';
export { MAX_HINTS, ServiceBindingHints, scanServiceBinding } from './service-binding.js';
export { nameFromString, nameToString } from './name.js';
export { buildReply, buildTruncated } from './build.js';
export { recompress } from './recompress.js';

/** The one door of `core`. */
export * from './base/app-error.js';
export * from './base/assert.js';
export * from './base/seams.js';
export * from './base/settings.js';
export * from './base/settings-parse.js';
export * from './base/socket-address.js';
export * from './fqdn/cache.js';
export * from './pair/exchange.js';
export * from './pair/held-member.js';
export { PEER_TICK_MS, PeerWatch } from './pair/peer-watch.js';
export * from './policy/index.js';
export * from './query/counters.js';
export { type AnswerSource, STREAM_PORT } from './query/forward.js';
export { type LearnedMapping, type MappingSink, OPENING, type Opening } from './query/learn.js';
export { QueryPath, type PathSeams } from './query/path.js';
export type { PathSettings, UpstreamServer } from './query/settings.js';
export * from './query/slots.js';

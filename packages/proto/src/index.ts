/** The one door of `proto`. */
export * from './address-bytes.js';
export * from './pair-messages.js';
export * as pairV1 from './generated/tandem/pair/v1/pair.js';

/** The door of the policy folder. */
export * from './decide.js';
export * from './name-table.js';
export * from './objects.js';
export * from './pattern.js';
export * from './snapshot.js';

/** The one door of `sim`. */
export { runSeed, type SeedOptions, type SeedResult } from './run/seed.js';
export { SEPARATOR, tellStory } from './story/story.js';

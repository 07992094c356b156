/** The door of `@tandem/manifests`: text of manifests, or objects of an API server → policy objects and complaints. */
export { FILES_MAX, loadManifests, ManifestLoader, type LoadResult } from './load.js';
export type { ObjectKind } from './kinds.js';
export { readObject, type ReadObject } from './object.js';
export { formatProblem, type Problem } from './problem.js';
export { DOCUMENTS_MAX, FILE_CHARACTERS_MAX, type SourceFile } from './yaml-source.js';

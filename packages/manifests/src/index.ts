/** The door of `@tandem/manifests`: text of manifests → policy objects and complaints. */
export { FILES_MAX, loadManifests, ManifestLoader, type LoadResult } from './load.js';
export { formatProblem, type Problem } from './problem.js';
export { DOCUMENTS_MAX, FILE_CHARACTERS_MAX, type SourceFile } from './yaml-source.js';

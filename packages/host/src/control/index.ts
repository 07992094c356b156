/** The door of host's control side: settings, log, metrics and the HTTP API. */
export { ENTRIES_BYTES_MAX } from './cache-entries.js';
export * from './daemon-view.js';
export { isAnswered, startHttpServers, type HttpOptions, type HttpServers } from './http-server.js';
export { createLog, type DaemonLog, type LogOptions } from './log.js';
export { metricName, type MetricRow } from './metrics.js';
export type { PageFile } from './page-files.js';
export type { PairMember, PairView } from './page-pair.js';
export { apiSocketPath, defaultRunDir, defaultStateDir, ensurePrivateDir, type Environment } from './paths.js';
export { firstResolver, loadSettings, type Loaded, type LoadRequest } from './settings-load.js';
export { type SettingValue, settingsView } from './settings-view.js';
export type { ConnectionView, DirectionView, NearView, TracePartyView, TraceView } from './trace-view.js';
export { requestUnix, type Silence, silenceOf, type UnixReply, type UnixRequest } from './unix-request.js';
export {
  MANIFEST_BYTES_MAX, MANIFEST_FILES_MAX, MANIFEST_TOTAL_BYTES_MAX, manifestFingerprint, manifestPathsIn, readManifestFiles,
  readManifestFolder, subfolderWarning, type ManifestComplaint, type ManifestFile, type ManifestFiles,
} from './manifest-files.js';

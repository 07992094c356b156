/** The door of the policy folder. */
export { AddressTable, wordsOfAddress } from './address-table.js';
export { allotmentOf, NO_ALLOTMENT, parseAllotment, type AllottedNumber, type Allotment } from './allotment.js';
export { attest, withLocations, type Attested, type Doubt, type Doubtful, type Locations, type Place } from './attestation.js';
export {
  ENFORCEMENT_MODES,
  SnapshotCompiler,
  compileSnapshot,
  type CompileOptions,
  type CompileResult,
  type EnforcementMode,
} from './compile.js';
export { canonicalJson, sha256Hex, utf8 } from './content-hash.js';
export { ALLOW_NO_POLICY, deniedBy, DENY, denyingRule, PolicyIndex, WORLD_ROW, type QuestionView, type ServerRow } from './decide.js';
export { STALE_SOURCE_LABEL, withoutRemotePods } from './lapse.js';
export { SNAPSHOT_LIMITS } from './limits.js';
export * from './logged-packet.js';
export { coveringRules, coversPort, isOutside, selectsIdentity, type Target } from './covering.js';
export { isWithin, parsePrefix, type Prefix, PrefixTable } from './cidr.js';
export { nameMatcher, selectorsMatcher } from './name-matcher.js';
export { NameTable, type NameView, type TableEntry } from './name-table.js';
export * from './objects.js';
export * from './pattern.js';
export { LabelSet, matchesAll, NAMESPACE_LABELS_PREFIX, peerRequirements, POD_NAMESPACE_LABEL, podLabels, requirementsOf, type Requirement, CLUSTER_LABEL, SERVICE_ACCOUNT_LABEL, subjectRequirements } from './selector.js';
export { ServiceDirectory } from './peers.js';
export * from './snapshot.js';
export { queryType } from './query-type.js';
export { ruleSetKey, sha256OfTexts, snapshotHash, type Sha256 } from './snapshot-hash.js';
export * from './trace.js';
export * from './trace-connection.js';
export { TRACE_NEAR_MAX, type TraceMiss, type TraceNear } from './trace-near.js';
export { validateSnapshot, type IdentityNumbers } from './validate.js';

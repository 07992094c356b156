/** Bounds of a snapshot: what one is compiled into, and what is accepted from a peer. Beyond them: AppError, nothing is cut. */
export const SNAPSHOT_LIMITS = {
  /** Local pods; Kubernetes itself supports some hundreds per node. */
  endpoints: 4096,
  /** Distinct label sets in the cluster: Cilium's 16-bit range. */
  identities: 65536,
  /** One record has the backends of all Services that no watch knows (the agent under Kubernetes). */
  addressesPerRecord: 1_048_576,
  labelsPerIdentity: 1024,
  /** Distinct prefixes that policies name. */
  cidrs: 65536,
  services: 16384,
  portsPerService: 1024,
  backendsPerPort: 16384,
  ruleSets: 4096,
  rulesPerSet: 16384,
  patternsPerRule: 65536,
  /** Cilium's limit per `toPorts` entry. */
  portsPerRule: 40,
  queryTypesPerRule: 64,
  /** Queries per second of one pod. */
  queryRate: 1_000_000,
  /** A label of 63 bytes has less than 64 × log2(64) bits. */
  labelEntropyBits: 400,
  fqdnSelectors: 65536,
  policies: 16384,
  specsPerPolicy: 16384,
  /** Pairs of a policy's spec and a local endpoint that it selects, over all. */
  policyEndpoints: 1_048_576,
  /** Any text in a snapshot: a label is the longest (prefix, key of 317, value of 63). */
  textCharacters: 1024,
} as const;

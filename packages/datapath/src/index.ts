/** Who may connect where, in the kernel. */
export { marksFrom, type Marks } from './names.js';
export { type FqdnGroup, fqdnGroups, fqdnSetName, type GrantScope } from './fqdn-groups.js';
export { logPrefix, type Logged } from './packet-log/prefix.js';
export { LinkWatch, type LinkWatchOptions } from './links/link-watch.js';
export type { KnownLink } from './links/link-table.js';
export { PacketLog, type PacketLogOptions } from './packet-log/packet-log.js';
export { NodeDatapath, type NodeDatapathOptions } from './control/node-datapath.js';
export { applyNft, readNft, NFT_TIMEOUT_MS, type NftOptions } from './nft.js';
export { compileProgram } from './program/compile.js';
export type { ProgramInput, ProxyAddress } from './program/input.js';
export type { OpenElement, Program } from './program/program.js';
export { changeText, removalText, wholeText, type OpenElements } from './program/text.js';
export { ConntrackSource, type ConntrackSourceOptions } from './conntrack/conntrack-source.js';
export { cutConnections, type CutOptions, type CutResult, type FlowJudgement, type TrackedFlow } from './conntrack/cut-connections.js';
export { cleanDatapath } from './control/clean.js';

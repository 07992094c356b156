/** Programs of the conformance tables' clusters without a rig: pods stand at made-up interfaces. And what the kernel says it has. */
import { spawnSync } from 'node:child_process';
import { compileSnapshot, type EndpointLocation, type Snapshot } from '@tandem/core';
import { compileProgram, marksFrom, type Program } from '@tandem/datapath';
import { loadManifests } from '@tandem/manifests';
import { NODE, type Group } from '../conformance/case.js';

export interface Variant {
  readonly isBridged: boolean;
  readonly auditMode: boolean;
  readonly isTransparentUpstream: boolean;
  readonly logGroup: number | null;
  readonly podCidrs: readonly string[];
  /** Of the pods, these are not seen yet. */
  readonly unseen: ReadonlySet<number>;
  /** What the rest of the interfaces' numbers are counted from. */
  readonly firstInterface: number;
}

/** A bridge's port must be there for its chain. */
const DEVICE = 'port';
/** More than any cluster here has pods' addresses. */
const DEVICES = 24;

export function snapshotOf({ name, manifests, settings }: Group): Snapshot {
  const { objects } = loadManifests([{ path: `${name}.yaml`, text: manifests }]);
  return compileSnapshot(objects!, { nodeName: NODE, enablePolicy: settings?.enablePolicy ?? 'default', allotment: null, revision: 1 }).snapshot;
}

export function programOf(snapshot: Snapshot, variant: Variant): Program {
  const { isBridged, unseen, firstInterface, ...settings } = variant;
  let serial = 0;
  const at = (address: string): EndpointLocation => {
    const number = serial++ % DEVICES;
    return isBridged ? { address, interface: firstInterface + number, mac: `02:00:00:00:00:${(number + 16).toString(16)}`, bridge: 5 } : { address, interface: firstInterface + number };
  };
  return compileProgram({
    ...settings,
    snapshot: { ...snapshot, endpoints: snapshot.endpoints.map((one, row) => (unseen.has(row) ? one : { ...one, at: one.addresses.map(at) })) },
    divert: isBridged ? { outer: 3, outerMac: '02:11:11:11:11:11', inner: 4 } : null,
    nameOf: (index) => `${DEVICE}${String(index % DEVICES)}`,
    marks: marksFrom(0x0100_0000),
    redirectTo: { v4: { address: '127.0.0.153', port: 53 }, v6: { address: 'fd53::1', port: 53 } },
    grantScope: 'node',
  });
}

/** What the kernel has after these transactions, one after another, in a namespace of their own: texts that compare. @throws Error with nft's complaint. */
export function kernelAfter(texts: readonly string[]): readonly string[] {
  const links = Array.from({ length: DEVICES / 2 }, (_, at) => `ip link add ${DEVICE}${String(2 * at)} type veth peer name ${DEVICE}${String(2 * at + 1)}`);
  const script = [
    ...links, 'ip link add tandem0 type veth peer name tandem1',
    ...texts.map((text) => (text === '' ? ':' : `nft -f - <<'END_OF_TEXT'\n${text}END_OF_TEXT`)),
    'nft -j list ruleset',
  ].join('\n');
  const { status, stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-e'], { input: script, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(stderr);
  return listed(stdout);
}

type Listed = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Rules in their order, all else sorted; without handles. */
function listed(json: string): readonly string[] {
  const { nftables } = JSON.parse(json) as { nftables: readonly Listed[] };
  const rules = new Map<string, string[]>();
  const others: string[] = [];
  for (const one of nftables) {
    const [[kind, content]] = Object.entries(one);
    const { elem, ...rest }: Readonly<Record<string, unknown>> = { ...content, handle: 0 };
    if (kind === 'metainfo') continue;
    if (kind === 'rule') {
      const chain = `${String(rest.family)} ${String(rest.table)} ${String(rest.chain)}`;
      rules.set(chain, [...(rules.get(chain) ?? []), JSON.stringify(rest.expr)]);
    } else {
      others.push(JSON.stringify({ kind, ...rest, elem: Array.isArray(elem) ? elem.map((part) => JSON.stringify(part)).sort() : [] }));
    }
  }
  return [...others, ...[...rules].map(([chain, texts]) => `${chain}: ${texts.join(' ; ')}`)].sort();
}

/**
 * The wire-up of `tandem-agent`.
 *
 * Order matters: policy first, then the shared addresses. A member that joins the group without policy would refuse
 * what its peer allows. So policy comes from the manifests, else from the last start, else from the peer; only where
 * none of them has any for `POLICY_FROM_ANYWHERE_MS` are the addresses bound without. And what this process needs is
 * looked for before a predecessor is succeeded (`startMember`): that one is no longer there to go on.
 */
import { type Stats, statSync } from 'node:fs';
import { AppError } from '@tandem/core';
import { NodeDatapath } from '@tandem/datapath';
import { type DaemonContext, type Member, POLICY_FROM_ANYWHERE_MS, type Running, serveFlows, startFqdnServer, startMember, startPairServer } from '@tandem/host';
import { statusPageFiles } from '@tandem/status-page';
import { clusterConfig } from './kubernetes/cluster-config.js';
import { KubernetesSource } from './kubernetes/kubernetes-source.js';
import { type LoadedManifests, watchManifestFolder } from './manifest-folder.js';
import { Publisher } from './publisher.js';

export async function startAgent(context: DaemonContext): Promise<Running> {
  const { settings, version, log, fail, onStop, onStopFirst } = context;
  const { manifestsDir } = settings;
  checkManifests(manifestsDir);
  const cluster = settings.kubernetes ? clusterConfig(settings.kubeconfig, process.env) : null;
  let relocated = (): void => undefined;
  const datapath = settings.datapath === 'none' ? null : await NodeDatapath.start({ settings, log, onSeen: () => { relocated(); } });
  if (datapath !== null) onStop(() => datapath.close());
  const { member, http, sockets } = await startMember(context, datapath, statusPageFiles());

  // The stored policy stands until the source has said something better.
  const stored = member.storedSnapshot();
  if (stored !== null) {
    await member.enforce(member.heard.asOfNow(stored));
    log.info('stored policy in force', { revision: stored.revision, hash: stored.hash });
  }
  const publisher = new Publisher(member, datapath?.places ?? null);
  const publishing = (work: Promise<void>): Promise<void> => work.catch((error: unknown) => {
    if (error instanceof AppError) log.warn('a newer policy was not applied', { reason: error.message });
    else fail(error instanceof Error ? error : new Error(String(error)));
  });
  relocated = () => void publishing(publisher.relocated());
  const publish = (loaded: LoadedManifests): Promise<void> => publishing(publisher.publish(loaded));
  const source = cluster !== null
    ? await followed(new KubernetesSource({ config: cluster, settings, version, log, publish, fail }), member)
    : manifestsDir !== null ? await watched(manifestsDir, publish) : null;
  // While the sockets are given up, no newer policy can be applied here.
  if (source !== null) onStopFirst(() => source.close());

  const pair = await startPairServer({
    member,
    onForeignSnapshot: (revision) => void publishing(publisher.outrun(revision)),
    onSnapshot: (snapshot) => publisher.adopt(snapshot),
  });
  onStop(() => pair.close());
  if (member.snapshot === null) {
    log.warn("there is no policy yet: waiting for the peer's", { atMostMs: POLICY_FROM_ANYWHERE_MS });
    await member.policyWithin(POLICY_FROM_ANYWHERE_MS);
  }
  if (member.snapshot === null) {
    const remedy = source === null ? 'give --manifests DIR or --kubernetes' : `mend the problems above${manifestsDir === null ? '' : ` in ${manifestsDir}`}`;
    log.warn(`there is no policy, and the peer has none: every query is refused; ${remedy}`);
  }
  onStop(({ awaitsPeer }) => member.stop(awaitsPeer));
  const plane = await member.serve(sockets);
  const hubble = await serveFlows(member, fail);
  if (hubble !== null) onStop(() => hubble.close());
  const proxies = settings.standaloneProxyListen === null ? null : await startFqdnServer(member, settings.standaloneProxyListen);
  if (proxies !== null) onStop(() => proxies.close());
  log.info('serving', { listen: plane.addresses, http: http.listen, hubble: hubble?.address ?? 'off' });
  return { reload: () => source?.reload() };
}

/** Where policy comes from. */
interface PolicySource {
  /** Publishes again even where nothing seems changed (SIGHUP). */
  reload(): void;
  close(): void;
}

/** Resolves once the first state was published, or that there is none yet. */
async function followed(source: KubernetesSource, member: Member): Promise<PolicySource> {
  member.source = source.counts;
  await source.start();
  return source;
}

/** Resolves once the folder's first state was published. */
function watched(dir: string, publish: (loaded: LoadedManifests) => Promise<void>): Promise<PolicySource> {
  return new Promise((resolve) => {
    const folder = watchManifestFolder(dir, (loaded) => {
      void publish(loaded).then(() => resolve(folder));
    });
  });
}

/** A folder that is absent may come; what is there and is no folder, or cannot be looked at, is a mistake. */
function checkManifests(dir: string | null): void {
  if (dir === null) return;
  let found: Stats | undefined;
  try {
    found = statSync(dir, { throwIfNoEntry: false });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AppError('CONFIGURATION', `--manifests ${dir} cannot be looked at: ${why}; name a folder that this user may read`, { cause: error });
  }
  if (found === undefined || found.isDirectory()) return;
  throw new AppError('CONFIGURATION', `--manifests ${dir} is a file, not a folder; name the folder that it lies in`);
}

/**
 * The wire-up of `tandem-agent`.
 *
 * Order matters: policy first, then the shared addresses. A member that joins the group without policy would refuse
 * what its peer allows.
 */
import {
  apiSocketPath, type DaemonContext, Member, MemberView, type PairServer, type Running, startHttpServers, startPairServer,
} from '@tandem/host';
import { loadManifestFolder, watchManifestFolder } from './manifest-folder.js';
import { Publisher } from './publisher.js';

export async function startAgent({ settings, version, log, fail }: DaemonContext): Promise<Running> {
  const member = new Member({ settings, version, log, fail });
  const http = await startHttpServers(
    { listen: settings.httpListen, unixPath: apiSocketPath(settings.runDir, settings.role), log },
    new MemberView(member),
  );

  // The stored policy stands until the source has said something better.
  const stored = member.storedSnapshot();
  if (stored !== null) await member.enforce(stored, { store: false });
  let pair: PairServer | null = null;
  const publisher = new Publisher(member, () => pair?.pump());
  const { manifestsDir } = settings;
  if (manifestsDir !== null) await publisher.publish(await loadManifestFolder(manifestsDir));
  if (member.snapshot === null) {
    const remedy = manifestsDir === null ? 'give --manifests DIR' : `mend the problems above in ${manifestsDir}`;
    log.warn(`there is no policy: every query is refused; ${remedy}`);
  }

  pair = await startPairServer({ member, onForeignSnapshot: (revision) => void publisher.outrun(revision) });
  const plane = await member.serve();
  const folder = manifestsDir === null ? null : watchManifestFolder(manifestsDir, (loaded) => void publisher.publish(loaded));
  log.info('serving', { listen: plane.addresses, http: http.listen });
  return {
    stop: async () => {
      folder?.close();
      await member.stop();
      await pair.close();
      await http.close();
    },
    reload: () => folder?.reload(),
  };
}

/**
 * How either daemon begins: what this process needs is looked for, then a predecessor is succeeded, which is no longer there to go on, then
 * there are a member with the mappings that are on its disk, and its API. It has no policy and no shared address yet.
 */
import { type HttpServers, startHttpServers } from '../control/http-server.js';
import type { PageFile } from '../control/page-files.js';
import { apiSocketPath } from '../control/paths.js';
import type { MemberSockets } from '../dataplane/index.js';
import { succeed } from '../dataplane/succession.js';
import type { DaemonContext } from '../run-daemon.js';
import type { Enforcement } from './enforcement.js';
import { Member } from './member.js';
import { MemberView } from './member-view.js';
import { checkStart } from './start-check.js';

export interface StartedMember {
  readonly member: Member;
  readonly http: HttpServers;
  /** For `serve`. */
  readonly sockets: MemberSockets;
}

/** `page`: the status page's files. @throws AppError; before it has a predecessor leave where that can be told. */
export async function startMember(context: DaemonContext, enforcement: Enforcement | null, page: readonly PageFile[]): Promise<StartedMember> {
  const { settings, version, log, fail, onStop, onSucceeded } = context;
  await checkStart(settings, log);
  const legacy = await succeed(settings);
  if (legacy !== null) log.info('this process succeeds another of its role');
  const member = new Member({ settings, version, log, fail, onSucceeded, enforcement });
  member.prepare();
  member.mappings.restore();
  const http = await startHttpServers(
    {
      listen: settings.httpListen, unixPath: apiSocketPath(settings.runDir, settings.role), log, inheritedFd: legacy?.httpFd ?? null,
      page, flows: settings.enableHubble ? member.flows : null,
    },
    new MemberView(member),
  );
  onStop(() => http.close());
  // Whoever answers no more writes no more: who takes what is enforced out of the kernel goes by that.
  if (enforcement !== null) onStop(() => enforcement.leave());
  member.httpListen = http.listen;
  return { member, http, sockets: { legacy: legacy?.listeners ?? null, httpFd: http.fd } };
}

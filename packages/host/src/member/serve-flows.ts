/** A member's flows on its Hubble socket. */
import { type HubbleServer, startHubbleServer } from '../hubble/server.js';
import type { Member } from './member.js';

/** Null where the settings turn it off. @throws as `startHubbleServer`. */
export async function serveFlows({ settings, log, flows }: Member, fail: (error: Error) => void): Promise<HubbleServer | null> {
  if (!settings.enableHubble || settings.hubbleListen === null) return null;
  return startHubbleServer({ settings, log, flows, fail });
}

/** Images of the two members, made of checkouts that are built. */
import { launcherOf, ROLES } from '../../harness/pair.js';
import type { Role } from '../../harness/pair.js';
import type { Image } from './container.js';

export function imageOf(role: Role, root?: string): Image {
  return { entrypoint: [launcherOf(role, root)], environment: { TANDEM_RUN_DIR: '/run/tandem', TANDEM_STATE_DIR: `/var/lib/tandem/${role}` } };
}

/** `tandem-agent:TAG` and `tandem-dns-proxy:TAG`, each from the checkout of its tag; none: this one. */
export function imagesOf(tags: Readonly<Record<string, string | undefined>>): Map<string, Image> {
  return new Map(Object.entries(tags).flatMap(([tag, root]) => ROLES.map((role) => [`tandem-${role}:${tag}`, imageOf(role, root)] as const)));
}

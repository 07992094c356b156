/** What the datapath cannot do without is named when a daemon starts, with the remedy, and the exit code says that a resource is not to be had. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { run } from '../harness/child.js';
import { launcherOf, ROLES } from '../harness/pair.js';
import { DEADLINE_MS } from '../harness/until.js';

const NOT_TO_BE_HAD = 69;

const folder = mkdtempSync(join(tmpdir(), 'tandem-requirements-'));
t.teardown(() => {
  rmSync(folder, { recursive: true });
});

// Tables and links, should it start after all, are in a namespace of its own.
const ALONE = ['unshare', '--net', '--mount', '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
const WITHOUT_NFT = ['unshare', '--net', '--mount', '--', 'sh', '-c', 'nft=$(command -v nft) && mount -t tmpfs none "$(dirname "$(readlink -f "$nft")")" && exec "$@"', 'sh'];

/** A kernel whose nftables lack an expression: all else is left to the real nft. */
function kernelWithout(expression: string): string[] {
  const bin = mkdtempSync(join(folder, 'bin-'));
  const nft = join(bin, 'nft');
  writeFileSync(nft, `#!/bin/sh
text=$(cat)
line=$(printf '%s\\n' "$text" | grep -n -m 1 '${expression}' | cut -d: -f1)
[ -z "$line" ] || { echo "/dev/stdin:$line:1-1: Error: Could not process rule: No such file or directory" >&2; exit 1; }
printf '%s\\n' "$text" | PATH=/usr/sbin:/sbin nft "$@"
`);
  chmodSync(nft, 0o755);
  return [...ALONE, 'env', `PATH=${bin}:${process.env.PATH ?? ''}`];
}

const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['CAP_NET_ADMIN', [...ALONE, 'setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'], /needs the capability CAP_NET_ADMIN: run as root, or give it \(setcap .*capabilities\.add\)/],
  ['nft', WITHOUT_NFT, /there is no program nft: install the package nftables/],
  ['TPROXY', kernelWithout('tproxy ip6'), /the kernel lacks TPROXY of nftables for IPv6: load nft_tproxy and nf_tproxy_ipv6, or listen on IPv4 only/],
  ['reject', kernelWithout('^reject$'), /the kernel lacks connection tracking, logging and reject of nftables: load .*nft_reject_inet/],
];

for (const role of ROLES) {
  for (const [what, prefix, says] of cases) {
    t.test(`${role} without ${what} ends at once, names it and the remedy`, async (t) => {
      const at = mkdtempSync(join(folder, 'node-'));
      mkdirSync(join(at, 'manifests'));
      const [command, ...rest] = prefix;
      const flags = [
        '--mode', 'transparent', '--run-dir', join(at, 'run'), '--state-dir', join(at, 'state'), '--http-listen', '127.0.0.1:19964',
        ...(role === 'agent' ? ['--manifests', join(at, 'manifests')] : []),
      ];
      const { code, output } = await run(command, [...rest, launcherOf(role), ...flags], DEADLINE_MS);
      t.equal(code, NOT_TO_BE_HAD, output);
      t.match(output, says);
      t.notMatch(output, /\n\s+at .*\.js/, 'no stack');
    });
  }
}

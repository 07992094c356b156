/**
 * A program in the file tree of an image, as a pod of deploy/kustomize has it: root file system not to be written, the pod's capabilities
 * and no more, no new privileges, processes and mounts of its own, the network of the node. No seccomp, no cgroup.
 */
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { Child, type Exit } from '../../harness/child.js';
import { temporaryFolder } from '../../harness/temporary.js';
import { DEADLINE_MS, until, within } from '../../harness/until.js';
import type { Image } from './image.js';

export interface Mount {
  readonly from: string;
  readonly to: string;
}

export interface ContainerOptions {
  readonly image: Image;
  readonly argv: readonly string[];
  /** As the DaemonSet has them: NET_ADMIN. */
  readonly capabilities: readonly string[];
  readonly mounts: readonly Mount[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** The tree has neither a shell nor setpriv: this one's, with its loader, lies in the pod's /tmp while it starts. */
const HELPER = '/tmp/helper';
const SCRIPT = `set -e
tree=$1 helper=$2 capabilities=$3
shift 3
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount -t sysfs -o ro sysfs "$tree/sys"
mount --rbind /dev "$tree/dev"
mount -t tmpfs tmpfs "$tree/tmp"
mkdir "$tree${HELPER}"
cp "$helper"/* "$tree${HELPER}"
while [ "$1" != -- ]; do mount --bind "$1" "$tree$2"; shift 2; done
shift
mount -o remount,bind,ro "$tree"
exec chroot "$tree" ${HELPER}/loader --library-path ${HELPER} ${HELPER}/setpriv --no-new-privs --bounding-set "$capabilities" --inh-caps=-all -- "$@"`;

export class Container {
  private readonly child: Child;

  constructor({ image, argv, capabilities, mounts, environment = {} }: ContainerOptions) {
    const variables = Object.entries({ ...image.stage.environment, ...environment }).map(([name, value]) => `${name}=${value}`);
    const bounds = ['-all', ...capabilities.map((name) => `+${name.toLowerCase()}`)].join();
    this.child = new Child('env', [
      '-i', ...variables, 'unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', SCRIPT, 'container',
      image.tree, helper(), bounds, ...mounts.flatMap(({ from, to }) => [from, to]), '--', ...argv,
    ]);
  }

  get output(): string {
    return this.child.output;
  }

  get standardOutput(): string {
    return this.child.standardOutput;
  }

  /** The program's, as this process sees it. */
  async pid(): Promise<number> {
    return until('the program in the container', DEADLINE_MS, () => {
      if (this.child.exit !== null) throw new Error(this.output);
      const child = Number.parseInt(readFileSync(`/proc/${String(this.child.pid)}/task/${String(this.child.pid)}/children`, 'utf8'), 10);
      return !Number.isNaN(child) && readFileSync(`/proc/${String(child)}/cmdline`, 'utf8').startsWith('/nodejs/bin/node') ? child : null;
    });
  }

  ended(): Promise<Exit> {
    return within('the end of the container', DEADLINE_MS, this.child.exited);
  }

  /** unshare itself passes no signal on. */
  async stop(): Promise<Exit> {
    process.kill(await this.pid(), 'SIGTERM');
    return this.ended();
  }

  async kill(): Promise<void> {
    await this.child.stop('SIGKILL');
  }
}

let found: string | null = null;

function helper(): string {
  if (found !== null) return found;
  found = join(temporaryFolder('tandem-helper-'), 'files');
  mkdirSync(found);
  const program = execFileSync('sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).trim();
  copyFileSync(program, join(found, 'setpriv'));
  for (const [, library] of execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)) {
    const name = basename(library);
    copyFileSync(library, join(found, name.startsWith('ld-linux') ? 'loader' : name));
  }
  return found;
}

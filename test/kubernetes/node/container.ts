/**
 * From a pod's container to a process on this machine, as a container runtime would start it. There is no file system of its own: where the pod
 * mounts something, the mount's path in arguments, environment and ConfigMaps is replaced by where it lies here, and the token of its
 * ServiceAccount comes by KUBECONFIG. What cannot be done so is refused, not left out.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Container, EnvironmentVariable, Pod } from './objects.js';

/** What an image would hold. */
export interface Image {
  /** What it starts, before the container's arguments. */
  readonly entrypoint: readonly string[];
  /** Paths that the program would take by itself, as variables: mounts may be there. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface Host {
  readonly name: string;
  /** Stands for the node's root file system. */
  readonly folder: string;
  /** Address of the node. */
  readonly address: string;
  /** What its processes are started by, such as `ip netns exec NAME`. */
  readonly prefix: readonly string[];
}

export interface Launch {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

interface Mount {
  readonly inside: string;
  readonly outside: string;
}

/** ConfigMap name → its data. */
export type ConfigMaps = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** ConfigMaps that the pod mounts. */
export function configMapsOf({ spec }: Pod): string[] {
  return (spec.volumes ?? []).flatMap(({ configMap }) => (configMap === undefined ? [] : [configMap.name]));
}

/** What a kubelet would do and this one cannot; null: nothing. */
export function unsupported({ spec }: Pod): string | null {
  if ((spec.initContainers ?? []).length > 0) return 'init containers are not supported here';
  for (const container of spec.containers) {
    if (container.command !== undefined) return `container ${container.name}: a command of its own is not supported here, only arguments`;
    if (container.lifecycle !== undefined) return `container ${container.name}: lifecycle hooks are not supported here`;
    for (const { valueFrom, name } of container.env ?? []) {
      if (valueFrom !== undefined && valueFrom.fieldRef === undefined) return `container ${container.name}: variable ${name} is from a source that is not supported here`;
    }
  }
  for (const { name, hostPath, configMap, emptyDir } of spec.volumes ?? []) {
    if (hostPath === undefined && configMap === undefined && emptyDir === undefined) return `volume ${name} is of a kind that is not supported here`;
  }
  return null;
}

/** Folders and files of its volumes are made. @throws Error naming a ConfigMap that is not there. */
export function launchOf(pod: Pod, container: Container, { image, host, configMaps, kubeconfig }: {
  readonly image: Image; readonly host: Host; readonly configMaps: ConfigMaps; readonly kubeconfig: string | null;
}): Launch {
  const mounts = mountsOf(pod, container, host);
  for (const { name, configMap } of pod.spec.volumes ?? []) {
    if (configMap === undefined) continue;
    const data = configMaps.get(configMap.name);
    if (data === undefined) throw new Error(`there is no ConfigMap ${configMap.name}`);
    for (const [file, text] of Object.entries(data)) writeFileSync(join(volumeFolder(pod, name, host), file), outside(text, mounts));
  }
  const variables = [...Object.entries(image.environment), ...(container.env ?? []).map((one): [string, string] => [one.name, valueOf(one, pod, host)])]
    .map(([name, value]): [string, string] => [name, outside(value, mounts)]);
  const environment = Object.fromEntries(variables);
  const args = (container.args ?? []).map((arg) => outside(expanded(arg, environment), mounts));
  return {
    command: [...host.prefix, ...image.entrypoint, ...args],
    environment: { ...environment, ...(kubeconfig === null ? {} : { KUBECONFIG: kubeconfig }) },
  };
}

function volumeFolder({ metadata }: Pod, volume: string, host: Host): string {
  return join(host.folder, 'pods', metadata.uid, volume);
}

function mountsOf(pod: Pod, container: Container, host: Host): Mount[] {
  return (container.volumeMounts ?? []).map(({ name, mountPath }) => {
    const hostPath = pod.spec.volumes?.find((volume) => volume.name === name)?.hostPath?.path;
    const folder = hostPath === undefined ? volumeFolder(pod, name, host) : join(host.folder, hostPath);
    mkdirSync(folder, { recursive: true });
    return { inside: mountPath, outside: folder };
  }).sort((a, b) => b.inside.length - a.inside.length);
}

/** The text with each path below a mount as it is here. */
function outside(text: string, mounts: readonly Mount[]): string {
  if (mounts.length === 0) return text;
  const paths = mounts.map(({ inside }) => inside.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|');
  return text.replace(new RegExp(`(?<![\\w/.-])(?:${paths})(?=[/\\s"',]|$)`, 'gm'), (path) => mounts.find(({ inside }) => inside === path)!.outside);
}

function valueOf({ value, valueFrom }: EnvironmentVariable, pod: Pod, host: Host): string {
  const path = valueFrom?.fieldRef?.fieldPath;
  switch (path) {
    case undefined: return value ?? '';
    case 'spec.nodeName': return host.name;
    case 'metadata.name': return pod.metadata.name;
    case 'metadata.namespace': return pod.metadata.namespace;
    case 'metadata.uid': return pod.metadata.uid;
    case 'status.hostIP': case 'status.podIP': return host.address;
    default: throw new Error(`the field ${path} is not supported here`);
  }
}

/** `$(NAME)` is the variable; one that there is not stays as it is. */
function expanded(arg: string, environment: Readonly<Record<string, string>>): string {
  return arg.replaceAll(/\$\(([A-Za-z_][A-Za-z0-9_]*)\)/g, (whole, name: string) => environment[name] ?? whole);
}

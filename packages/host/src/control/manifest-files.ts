/**
 * The manifest files of a folder, as text: what `--manifests` and `policy validate` read. Not recursive, which is said where
 * there are subfolders; hidden entries are left out, symbolic links are followed (a mounted ConfigMap is links into `..data`). Bounded in number, size of each and size
 * of all; what is over a bound is complained about and not read. Knows no YAML.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface ManifestFile {
  readonly path: string;
  readonly text: string;
}

export interface ManifestFiles {
  /** Sorted by path. */
  readonly files: readonly ManifestFile[];
  readonly complaints: readonly ManifestComplaint[];
}

/** `error`: a file or the folder could not be read; `warning`: something is left out on purpose. */
export interface ManifestComplaint {
  readonly path: string;
  readonly message: string;
  readonly severity: 'error' | 'warning';
}

export const MANIFEST_FILES_MAX = 1_000;
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
/** All together: bounds the memory of a load. */
export const MANIFEST_TOTAL_BYTES_MAX = 32 * 1024 * 1024;

const SUBFOLDERS_SHOWN_MAX = 5;
const MANIFEST_NAME = /^[^.].*\.(?:yaml|yml|json)$/;

/** Paths of the folder's manifests, sorted. Rejects with Node's own error if it cannot be listed. */
export async function manifestPathsIn(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => MANIFEST_NAME.test(name));
  return names.sort().map((name) => join(dir, name));
}

/** A warning if the folder has subfolders (hidden ones aside); none otherwise. Rejects as `manifestPathsIn`. */
export async function subfolderWarning(dir: string): Promise<ManifestComplaint[]> {
  const names: string[] = [];
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    // A folder with a manifest's name is complained about as a file.
    if (entry.name.startsWith('.') || MANIFEST_NAME.test(entry.name)) continue;
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(join(dir, entry.name))))) names.push(entry.name);
  }
  if (names.length === 0) return [];
  const shown = names.sort().slice(0, SUBFOLDERS_SHOWN_MAX).map((name) => join(dir, name)).join(', ');
  const more = names.length - SUBFOLDERS_SHOWN_MAX;
  return [{ path: dir, message: `subfolders are not read: ${shown}${more > 0 ? ` and ${more} more` : ''}`, severity: 'warning' }];
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then((found) => found.isDirectory(), () => false);
}

/** Changes whenever a file comes, goes or is written; '' if the folder cannot be listed. */
export async function manifestFingerprint(dir: string): Promise<string> {
  try {
    const paths = (await manifestPathsIn(dir)).slice(0, MANIFEST_FILES_MAX + 1);
    const parts = await Promise.all(paths.map(async (path) => {
      const found = await stat(path, { bigint: true }).catch(() => null);
      return found === null ? `${path} gone` : `${path} ${found.ino} ${found.size} ${found.mtimeNs} ${found.ctimeNs}`;
    }));
    return `listed\n${parts.join('\n')}`;
  } catch {
    return '';
  }
}

/** Never rejects: what cannot be read is a complaint. */
export async function readManifestFolder(dir: string): Promise<ManifestFiles> {
  try {
    const paths = await manifestPathsIn(dir);
    if (paths.length > MANIFEST_FILES_MAX) {
      return { files: [], complaints: [{ path: dir, message: `the folder has ${paths.length} manifest files; ${MANIFEST_FILES_MAX} are the most`, severity: 'error' }] };
    }
    const warnings = await subfolderWarning(dir);
    const { files, complaints } = await readManifestFiles(paths);
    return { files, complaints: [...warnings, ...complaints] };
  } catch (error) {
    return { files: [], complaints: [{ path: dir, message: `the folder cannot be read: ${(error as Error).message}`, severity: 'error' }] };
  }
}

/** Never rejects: what cannot be read is a complaint. */
export async function readManifestFiles(paths: readonly string[]): Promise<ManifestFiles> {
  const files: ManifestFile[] = [];
  const complaints: ManifestComplaint[] = [];
  let totalBytes = 0;
  for (const path of paths) {
    const bytes = await readBounded(path, Math.min(MANIFEST_BYTES_MAX, MANIFEST_TOTAL_BYTES_MAX - totalBytes)).catch((error: unknown) => `cannot be read: ${(error as Error).message}`);
    if (typeof bytes === 'string') {
      complaints.push({ path, message: bytes, severity: 'error' });
      continue;
    }
    totalBytes += bytes.length;
    try {
      files.push({ path, text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) });
    } catch {
      complaints.push({ path, message: 'the file is not UTF-8 text', severity: 'error' });
    }
  }
  return { files, complaints };
}

/** The file's bytes, or what is wrong with it. */
async function readBounded(path: string, bytesMax: number): Promise<Uint8Array | string> {
  // Looked at before it is opened: opening a pipe would wait for its writer.
  const { size, isRegular } = await stat(path).then((found) => ({ size: found.size, isRegular: found.isFile() }));
  if (!isRegular) return 'it is not a regular file';
  if (size > MANIFEST_BYTES_MAX) return `the file has ${size} bytes; ${MANIFEST_BYTES_MAX} are the most`;
  if (size > bytesMax) return `with this file the manifests are larger than ${MANIFEST_TOTAL_BYTES_MAX} bytes together`;
  const handle = await open(path, 'r');
  try {
    // One byte more than was seen: a file that grows meanwhile is read again on its next change.
    const buffer = new Uint8Array(size + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return length > size ? 'the file is being written' : buffer.subarray(0, length);
  } finally {
    await handle.close();
  }
}

/**
 * Joins the modules of each program: `packages/NAME/dist/main.js` and what it imports become `packages/NAME/bundle/main.js` and a few files
 * beside it. To find, read and link hundreds of modules is what a start would take most of its time for.
 *
 * One at a time in a checkout (`npm run build:bundle`, `bin/launch`): each removes what earlier ones have left.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

const PACKAGES = join(import.meta.dirname, '../..');

/** The data plane's thread and what it loads are in the bundle that has started it, and share its modules' text. */
const DATA_PLANE = { worker: 'host/dist/worker.js', opener: 'datapath/dist/opener.js' };
const PROGRAMS = { 'agent': DATA_PLANE, 'dns-proxy': DATA_PLANE, 'cli': {} };

/** Left where they are: libraries that look for files of their own beside themselves, and those that are not needed at the start. */
const EXTERNAL = ['@grpc/*', '@tandem/status-page', 'grpc-health-check', 'node-reuseport', 'pino', 'prom-client'];

/** A program that runs from an earlier bundle may still have modules of it to load. */
const KEPT_MS = 24 * 3_600_000;

/** CommonJS modules in the bundle ask for Node's own modules by `require`. */
const REQUIRE = "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";

async function bundle(name, others) {
  const folder = join(PACKAGES, name, 'bundle');
  const { outputFiles } = await build({
    absWorkingDir: PACKAGES,
    entryPoints: { main: `${name}/dist/main.js`, ...others },
    outdir: folder,
    bundle: true,
    // What is imported late, or by two of the entries, gets files of its own, named by their content.
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // For its constants, see docs/decisions/one-file.md.
    minifySyntax: true,
    external: EXTERNAL,
    banner: { js: REQUIRE },
    write: false,
    logLevel: 'warning',
  });
  mkdirSync(folder, { recursive: true });
  // The entry is last, and whole at once: who finds it new finds all else.
  for (const { path, contents } of outputFiles.toSorted((a, b) => rank(a.path) - rank(b.path))) {
    writeFileSync(`${path}.new`, contents);
    renameSync(`${path}.new`, path);
  }
  const written = new Set(outputFiles.map(({ path }) => basename(path)));
  for (const file of readdirSync(folder)) {
    const path = join(folder, file);
    if (!written.has(file) && Date.now() - statSync(path).mtimeMs > KEPT_MS) rmSync(path);
  }
}

function rank(path) {
  return basename(path) === 'main.js' ? 1 : 0;
}

await Promise.all(Object.entries(PROGRAMS).map(([name, others]) => bundle(name, others)));

/**
 * The status page as bytes: what a member serves at `/`. All files are read here, once, so that a page never waits for a disk, and
 * nothing is fetched from anywhere else.
 *
 * Knows nothing of HTTP servers, and imports nothing of ours; the page itself is in `page/`, compiled for browsers.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';

export interface StatusPageFile {
  /** As a browser asks for it: `/` for the page, `/assets/…` for what it loads. */
  readonly path: string;
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

/** All files together; a test holds it. */
export const STATUS_PAGE_BYTES_MAX = 150 * 1024;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** @throws Error if the package was not built. */
export function statusPageFiles(): StatusPageFile[] {
  const assets = join(import.meta.dirname, '../assets');
  const scripts = join(import.meta.dirname, 'page');
  const plots = dirname(createRequire(import.meta.url).resolve('uplot'));
  const names = readdirSync(scripts).filter((name) => name.endsWith('.js') && !name.endsWith('.test.js')).sort();
  return [
    read('/', join(assets, 'index.html')),
    read('/assets/style.css', join(assets, 'style.css')),
    read('/assets/icon.svg', join(assets, 'icon.svg')),
    read('/assets/uplot.css', join(plots, 'uPlot.min.css')),
    read('/assets/uplot.js', join(plots, 'uPlot.iife.min.js')),
    ...names.map((name) => read(`/assets/${name}`, join(scripts, name))),
  ];
}

function read(path: string, file: string): StatusPageFile {
  return { path, contentType: TYPES[extname(file)], bytes: readFileSync(file) };
}

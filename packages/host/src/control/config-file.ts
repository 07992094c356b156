/**
 * A `--config` file: YAML, one map of setting names to a scalar or a list of scalars. The value's text is taken as written
 * (`0x10` stays `0x10`, `1e3` stays `1e3`), so a file means the same as a flag. Knows no meaning of any setting.
 */
import { readFileSync, statSync } from 'node:fs';
import { nearestName, SETTINGS, type Complaint, type RawSetting } from '@tandem/core';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node } from 'yaml';

const FILE_BYTES_MAX = 64 * 1024;
const COMPLAINTS_SHOWN_MAX = 20;

export interface ConfigFile {
  readonly raws: readonly RawSetting[];
  /** `FILE:LINE: …`, a bounded number of them. */
  readonly complaints: readonly Complaint[];
}

/** Never throws: a file that cannot be read is a complaint, too, and says by `where` what named it. */
export function readConfigFile(path: string, where: string): ConfigFile {
  const text = readText(path, where);
  return typeof text === 'string' ? parseConfig(text, path) : { raws: [], complaints: [text] };
}

/** `path` is for complaints only. */
export function parseConfig(text: string, path: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const at = (offset: number): string => `${path}:${lines.linePos(offset).line}`;
  const complaints = document.errors.map((error) => `${at(error.pos[0])}: ${error.code === 'MULTIPLE_DOCS' ? 'a second YAML document begins; allowed: one' : error.message}`);
  const raws: RawSetting[] = [];
  if (complaints.length === 0 && document.contents !== null) {
    if (isMap<Node, Node | null>(document.contents)) {
      for (const { key, value } of document.contents.items) {
        const where = at(key.range?.[0] ?? 0);
        const name = isScalar(key) ? String(key.value) : '';
        const texts = textsOf(value);
        if (!SETTINGS.some((row) => row.name === name)) complaints.push(`${where}: ${unknownKey(name)}`);
        else if (typeof texts === 'string') complaints.push(`${where}: ${name}: ${texts}`);
        else raws.push({ name, texts, where: `${where}: ${name}`, from: 'file' });
      }
    } else complaints.push(`${path}:1: a map of settings is expected, such as "slots: 4096"`);
  }
  if (complaints.length > COMPLAINTS_SHOWN_MAX) {
    complaints.splice(COMPLAINTS_SHOWN_MAX, Infinity, `${path}: ${complaints.length - COMPLAINTS_SHOWN_MAX} more complaints are not shown`);
  }
  return { raws, complaints: complaints.map(configuration) };
}

/** The texts of a scalar or list; a string that is not in a list is the complaint. */
function textsOf(value: Node | null): readonly string[] | string {
  const items = isSeq(value) ? value.items : [value];
  const texts: string[] = [];
  for (const item of items) {
    if (!isScalar(item) || item.value === null || item.source === undefined) return 'a single value or a list of values is expected';
    texts.push(item.source);
  }
  return texts.length === 0 ? 'the list is empty' : texts;
}

function unknownKey(name: string): string {
  const nearest = nearestName(name, SETTINGS.map((row) => row.name));
  return `unknown setting ${JSON.stringify(name.slice(0, 80))}${nearest === null ? '' : `; did you mean ${nearest}?`}`;
}

function readText(path: string, where: string): string | Complaint {
  try {
    const { size } = statSync(path);
    return size > FILE_BYTES_MAX ? configuration(`${path}: larger than ${FILE_BYTES_MAX} bytes`) : readFileSync(path, 'utf8');
  } catch (error) {
    return configuration(`${where} ${path}: ${(error as Error).message}`);
  }
}

function configuration(message: string): Complaint {
  return { code: 'CONFIGURATION', message };
}

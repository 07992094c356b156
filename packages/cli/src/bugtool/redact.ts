/**
 * Takes secrets out of texts before they leave the host: values whose names say that they are secret, key material wherever it stands,
 * and passwords in URLs. A path to a key stays: it helps, and opens nothing.
 *
 * Invariant: what is taken out is replaced, so that one sees that something was there. Errs on the side of too much.
 */
import { SETTINGS } from '@tandem/core';

export const REDACTED = '[redacted]';

const SECRET_NAME = /secret|token|passw|passphrase|pwd|credential|bearer|cookie$|signature|authorization|(?:^|[^a-z])(?:auth|keys?|pin|psk|salt)$|(?:private|api|access|encryption|signing|session|ssh|hmac|aes)[-_]?key/i;
/** Settings whose values are paths. */
const PATH_NAMES: ReadonlySet<string> = new Set(SETTINGS.filter(({ name }) => /-(?:key|cert|ca)(?:-files?)?$/.test(name)).flatMap(({ name }) => [name, environmentName(name)]));

const PEM = /-----BEGIN [A-Z0-9 ]+-----[^]*?(?:-----END [A-Z0-9 ]+-----|$)/g;
const URL_PASSWORD = /\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@:]{0,256}:[^\s/@]{1,1024}@/gi;
const AUTHORIZATION = /\b(Bearer|Basic)\s+[A-Za-z0-9+/_.~=-]{6,}/gi;
const JWT = /\beyJ[A-Za-z0-9_-]{8,512}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g;
/** `name=`, `name: `, `"name": `. What is repeated in front of a mark is bounded everywhere here, so that time is. */
const NAMED = /(?<![\w.])(?<quote>["']?)(?<name>[A-Za-z_][\w.-]{0,63})\k<quote>[ \t]{0,8}[=:][ \t]{0,8}/g;
/** `--name `, also as the kernel has it, with NUL between the words. */
const FLAG = /--(?<name>[A-Za-z][\w.-]{0,63})[ \0\n]{1,2}/g;
/** A quoted value may have blanks. */
const VALUE = /"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,;"'\0]+/y;

/** Any text: a file of YAML, a command line, metrics. */
export function redactText(text: string): string {
  return withoutValues(withoutValues(redactMaterial(text), NAMED), FLAG);
}

/** Replaces the value behind each secret's name. What stands behind another name may be a name itself: `source:token=…`. */
function withoutValues(text: string, names: RegExp): string {
  const pieces: string[] = [];
  let copied = 0;
  for (const { index, 0: whole, groups } of text.matchAll(names)) {
    const from = index + whole.length;
    // Inside of a value that is gone.
    if (index < copied || !isSecretName(groups!.name)) continue;
    VALUE.lastIndex = from;
    const value = VALUE.exec(text)?.[0];
    if (value === undefined || !isSecret(groups!.name, unquoted(value))) continue;
    const mark = /^["']/.exec(value)?.[0] ?? '';
    pieces.push(text.slice(copied, from), mark, REDACTED, mark);
    copied = from + value.length;
  }
  return pieces.join('') + text.slice(copied);
}

/** A JSON value: what stands under a secret's name goes, with all that is in it. */
export function redactJson(value: unknown, name = ''): unknown {
  if (typeof value === 'string') return isSecret(name, value) ? REDACTED : redactText(value);
  if (typeof value === 'number') return isSecretName(name) ? REDACTED : value;
  if (Array.isArray(value)) return value.map((item) => redactJson(item, name));
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactJson(item, isSecretName(name) ? name : key)]));
  return value;
}

/** One variable of an environment. */
export function redactValue(name: string, value: string): string {
  return isSecret(name, value) ? REDACTED : redactMaterial(value);
}

function redactMaterial(text: string): string {
  return text.replaceAll(PEM, REDACTED).replaceAll(JWT, REDACTED).replaceAll(AUTHORIZATION, `$1 ${REDACTED}`).replaceAll(URL_PASSWORD, `$1${REDACTED}@`);
}

function isSecret(name: string, value: string): boolean {
  return value !== '' && isSecretName(name) && !(PATH_NAMES.has(name) && value.startsWith('/')) && !/^(?:true|false|null)$/.test(value);
}

function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

function unquoted(value: string): string {
  return /^["']/.test(value) ? value.slice(1, -1) : value;
}

function environmentName(name: string): string {
  return `TANDEM_${name.toUpperCase().replaceAll('-', '_')}`;
}

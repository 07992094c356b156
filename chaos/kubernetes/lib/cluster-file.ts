/** The file that says how a cluster is reached and what may be done there: TargetOptions as JSON. Whatever is not as it must be is refused. */
import { Target } from './target.js';
import type { TargetOptions } from './target.js';

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string' && value !== '';
const isTexts: Check = (value) => Array.isArray(value) && value.length > 0 && value.every(isText);
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isObjectOf = (fields: Readonly<Record<string, Check>>): Check => (value) => isObject(value) && Object.keys(value).every((key) => key in fields) && Object.entries(fields).every(([key, check]) => check(value[key]));
const orNull = (check: Check): Check => (value) => value === null || check(value);

const FIELDS: Readonly<Record<keyof TargetOptions, readonly [Check, string]>> = {
  kubectl: [isTexts, 'the words of a command, such as ["kubectl", "--context", "staging"]'],
  namespace: [isText, 'the namespace of both DaemonSets'],
  probe: [isTexts, 'the words of a command that runs another in the pod that asks, such as ["kubectl", "--context", "staging", "exec", "-n", "NS", "POD", "--"]'],
  names: [
    isObjectOf({ allowed: isTexts, denied: isTexts, fresh: isObjectOf({ pattern: (value) => isText(value) && (value as string).includes('#'), count: (value) => Number.isInteger(value) }) }),
    '{"allowed": [NAME…], "denied": [NAME…], "fresh": {"pattern": NAME with "#" for a number, "count": N}}',
  ],
  node: [isText, 'the node of the pod that asks'],
  drainSelector: [isText, 'a label selector of the pods that a drain looks at: those of both members, others that may be evicted, and not the pod that asks'],
  cut: [orNull(isObjectOf({ off: isTexts, on: isTexts, reaches: isTexts })), '{"off": COMMAND, "on": COMMAND, "reaches": COMMAND}, each the words of a command, or null'],
  otherImages: [orNull(isObjectOf({ agent: isText, 'dns-proxy': isText })), '{"agent": IMAGE, "dns-proxy": IMAGE} of another version, or null'],
};

/** @throws Error naming each field that is not as it must be. */
export function targetFrom(text: string): Target {
  const options: unknown = JSON.parse(text);
  if (!isObject(options)) throw new Error('the cluster\'s file must be a JSON object');
  const complaints = [
    ...Object.entries(FIELDS).filter(([name, [check]]) => !check(options[name])).map(([name, [, wanted]]) => `"${name}" must be ${wanted}`),
    ...Object.keys(options).filter((name) => !(name in FIELDS)).map((name) => `"${name}" is not known`),
  ];
  if (complaints.length > 0) throw new Error(`the cluster's file: ${complaints.join('; ')}`);
  return new Target(options as unknown as TargetOptions);
}

/** Colours for people: on a terminal only, and not where NO_COLOR is set (https://no-color.org). Their names say what they mean. */
import type { Io } from './io.js';

export interface Colours {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly host: (text: string) => string;
  readonly identity: (text: string) => string;
  readonly port: (text: string) => string;
  readonly strong: (text: string) => string;
}

export const COLOUR_CHOICES = ['auto', 'always', 'never'] as const;
export type ColourChoice = (typeof COLOUR_CHOICES)[number];

const RESET = 0;
const CODE: Readonly<Record<keyof Colours, number>> = { good: 32, bad: 31, warn: 33, host: 36, identity: 35, port: 33, strong: 1 };

export function coloursFor(io: Io, when: ColourChoice = 'auto'): Colours {
  const isWanted = when === 'always' || (when === 'auto' && io.screen !== null && (io.env.NO_COLOR ?? '') === '' && io.env.TERM !== 'dumb');
  const painter = (code: number) => (text: string): string => (isWanted && text !== '' ? `\x1b[${code}m${text}\x1b[${RESET}m` : text);
  return {
    good: painter(CODE.good), bad: painter(CODE.bad), warn: painter(CODE.warn), host: painter(CODE.host), identity: painter(CODE.identity),
    port: painter(CODE.port), strong: painter(CODE.strong),
  };
}

/** DNS types by what people write: `AAAA`, `TYPE65` (RFC 3597 §5). */
import { TYPE, typeNumber } from '@tandem/dns';

/** Types of records that no question asks for (RFC 6895 §3.1). */
const NEVER_ASKED: readonly number[] = [0, TYPE.OPT];

/** The number of a type that a question may ask for, whatever the letter case; null if it is none. */
export function queryType(text: string): number | null {
  const type = typeNumber(text);
  return type < 0 || NEVER_ASKED.includes(type) ? null : type;
}

/** The checkout that this program is part of: seen from the package as compiled and from its bundle alike. */
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Where a text stops being JSON (RFC 8259). YAML's reader takes much that JSON does not have: a file that is called `.json`
 * would be refused by every other tool. The runtime's own parser says whether, but not always where.
 */

export interface JsonFault {
  /** In UTF-16 units; the text's length when it ends too early. */
  readonly offset: number;
  readonly message: string;
}

type Expected = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end' | 'nothing';

const SCALAR = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const BLANK = ' \t\n\r';
const EMPTY_AT_END = 'the text ends too early';

/** null for JSON. */
export function jsonFault(text: string): JsonFault | null {
  try {
    JSON.parse(text);
    return null;
  } catch {
    return new Locator(text).run();
  }
}

class Locator {
  private readonly text: string;
  private at = 0;
  private expected: Expected = 'value';
  private readonly open: ('{' | '[')[] = [];

  constructor(text: string) {
    this.text = text;
  }

  run(): JsonFault {
    for (;;) {
      while (this.at < this.text.length && BLANK.includes(this.text[this.at])) this.at++;
      if (this.at === this.text.length) return { offset: this.at, message: EMPTY_AT_END };
      const message = this.token(this.text[this.at]);
      if (message !== null) return { offset: this.at, message };
    }
  }

  /** Goes past one token, or says what is wrong with it. */
  private token(character: string): string | null {
    const wanted = this.expected;
    const isEnd = character === '}' || character === ']';
    if (isEnd && (wanted.endsWith('or end') && this.open.at(-1) === (character === '}' ? '{' : '['))) {
      this.open.pop();
      return this.step(1, this.afterValue());
    }
    if (character === ',' && wanted === 'comma or end') return this.step(1, this.open.at(-1) === '{' ? 'key' : 'value');
    if (character === ':' && wanted === 'colon') return this.step(1, 'value');
    if (wanted.startsWith('key')) return character === '"' ? this.string('colon') : this.unexpected(character, 'a key in double quotes');
    if (!wanted.startsWith('value')) return this.unexpected(character, WANTED[wanted]);
    if (character === '{' || character === '[') {
      this.open.push(character);
      return this.step(1, character === '{' ? 'key or end' : 'value or end');
    }
    if (character === '"') return this.string(this.afterValue());
    const length = matchedAt(SCALAR, this.text, this.at);
    return length === 0 ? this.unexpected(character, 'a value') : this.step(length, this.afterValue());
  }

  private string(next: Expected): string | null {
    this.at++;
    while (this.at < this.text.length) {
      const character = this.text[this.at];
      if (character === '"') return this.step(1, next);
      if (character < ' ') return 'a control character stands in a string; write it as an escape';
      const length = character === '\\' ? matchedAt(ESCAPE, this.text, this.at) : 1;
      if (length === 0) return 'JSON has no such escape';
      this.at += length;
    }
    return EMPTY_AT_END;
  }

  private step(length: number, next: Expected): null {
    this.at += length;
    this.expected = next;
    return null;
  }

  private afterValue(): Expected {
    return this.open.length === 0 ? 'nothing' : 'comma or end';
  }

  private unexpected(character: string, wanted: string): string {
    const isTrailing = (character === '}' || character === ']') && (this.expected === 'key' || this.expected === 'value');
    const after = isTrailing ? ' (a comma stands before it)' : '';
    return `${JSON.stringify(character)} where JSON wants ${wanted}${after}`;
  }
}

const WANTED: Readonly<Record<Expected, string>> = {
  'value': 'a value', 'value or end': 'a value', 'key': 'a key', 'key or end': 'a key', 'colon': '":"',
  'comma or end': '"," or the closing bracket', 'nothing': 'nothing more: one file holds one value',
};

function matchedAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}

/**
 * Texts that many rows share: each is there once, and rows know it by a number.
 *
 * Invariant: a text has a number while somebody uses it; numbers of texts that nobody uses are given to others. 0 is no text's.
 */
import { grown, moreRows } from '../base/columns.js';

export class InternedTexts {
  private readonly byText = new Map<string, number>();
  private readonly texts: string[] = [''];
  private uses = new Uint32Array(1);
  private readonly free: number[] = [];

  /** 0: nobody uses it. */
  numberOf(text: string): number {
    return this.byText.get(text) ?? 0;
  }

  text(number: number): string {
    return this.texts[number];
  }

  /** One more uses it. Returns its number. */
  use(text: string): number {
    let number = this.byText.get(text);
    if (number === undefined) {
      number = this.free.pop() ?? this.texts.length;
      if (number === this.uses.length) this.uses = grown(this.uses, moreRows(number));
      this.texts[number] = text;
      this.byText.set(text, number);
    }
    this.uses[number]++;
    return number;
  }

  /** One less does. */
  release(number: number): void {
    if (--this.uses[number] > 0) return;
    this.byText.delete(this.texts[number]);
    this.texts[number] = '';
    this.free.push(number);
  }
}

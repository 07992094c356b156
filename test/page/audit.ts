/** Checks in the page itself of what people with a screen reader, a keyboard or weak eyes need. Each returns what breaks the rule. */
import type { Page } from 'playwright-core';

/** WCAG 2.2, 1.4.3: for text of ordinary size. */
const CONTRAST_MIN = 4.5;

/** Names, labels, headings, landmarks, table heads. */
export function structureFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const faults: string[] = [];
    const isShown = (element: Element): boolean => (element as HTMLElement).checkVisibility({ visibilityProperty: true });
    const textOf = (element: Element): string => (element.getAttribute('aria-label') ?? element.textContent ?? '').trim();
    const say = (element: Element, what: string): void => void faults.push(`${element.tagName.toLowerCase()}${element.id === '' ? '' : `#${element.id}`}: ${what}`);
    if (document.documentElement.lang === '') faults.push('the document has no language');
    if (document.querySelectorAll('h1').length !== 1) faults.push('there is not one h1');
    for (const landmark of ['header', 'main']) if (document.querySelectorAll(landmark).length !== 1) faults.push(`there is not one ${landmark}`);
    let level = 0;
    for (const heading of [...document.querySelectorAll('h1,h2,h3,h4')].filter(isShown)) {
      const own = Number(heading.tagName.slice(1));
      if (own > level + 1) say(heading, `level ${own} after ${level}`);
      level = own;
    }
    for (const field of document.querySelectorAll<HTMLInputElement>('input,select,textarea')) {
      if ((field.labels?.length ?? 0) === 0 && !field.hasAttribute('aria-label')) say(field, 'no label');
    }
    for (const control of document.querySelectorAll('button,a')) if (isShown(control) && textOf(control) === '') say(control, 'no name');
    for (const image of document.querySelectorAll('img')) if (!image.hasAttribute('alt')) say(image, 'no alt');
    for (const image of document.querySelectorAll('svg')) if (image.getAttribute('role') !== 'img' || textOf(image) === '') say(image, 'no role and name');
    for (const head of document.querySelectorAll('th')) if (!head.hasAttribute('scope')) say(head, 'no scope');
    for (const section of document.querySelectorAll('section')) {
      if (document.getElementById(section.getAttribute('aria-labelledby') ?? '') === null) say(section, 'no heading of its own');
    }
    for (const clicked of document.querySelectorAll('[onclick], div[role=button], span[role=button]')) say(clicked, 'not a button');
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    for (const id of ids.filter((one, index) => ids.indexOf(one) !== index)) faults.push(`#${id} is there twice`);
    for (const region of document.querySelectorAll<HTMLElement>('.scroll')) if (isShown(region) && region.tabIndex !== 0) say(region, 'scrolls, and no key reaches it');
    if (document.querySelectorAll('[role=status]').length === 0) faults.push('nothing is told to screen readers as it changes');
    return faults;
  });
}

/** Visible text with too little contrast against what lies behind it. */
export function contrastFaults(page: Page): Promise<string[]> {
  return page.evaluate((minimum) => {
    type Colour = readonly [number, number, number, number];
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })!;
    const rgba = (css: string): Colour => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = css;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = (top: Colour, below: Colour): Colour => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1) as unknown as Colour;
    const luminance = (colour: Colour): number => {
      const [r, g, b] = [0, 1, 2].map((i) => { const v = colour[i] / 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element: Element | null): Colour => {
      if (element === null) return [255, 255, 255, 1];
      const own = rgba(getComputedStyle(element).backgroundColor);
      return own[3] === 1 ? own : over(own, behind(element.parentElement));
    };
    const cardOf = (text: Element): Colour | null => {
      const [x, y] = [Number(text.getAttribute('x')), Number(text.getAttribute('y'))];
      const rects = [...text.ownerDocument.querySelectorAll('svg.pair rect')].filter((rect) => {
        const at = (name: string): number => Number(rect.getAttribute(name));
        return x >= at('x') && x <= at('x') + at('width') && y >= at('y') && y <= at('y') + at('height') && getComputedStyle(rect).fill !== 'none';
      });
      return rects.length === 0 ? null : rgba(getComputedStyle(rects.at(-1)!).fill);
    };
    const faults = new Set<string>();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const element = node.parentElement ?? (node.parentNode as Element);
      if ((node.textContent ?? '').trim() === '' || !element.checkVisibility({ visibilityProperty: true }) || element.closest('noscript, datalist, .skip') !== null) continue;
      const style = getComputedStyle(element);
      const isSvg = element instanceof SVGElement;
      const back = (isSvg ? cardOf(element) : null) ?? behind(element);
      const front = over(rgba(isSvg ? style.fill : style.color), back);
      const [a, b] = [luminance(front), luminance(back)];
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < minimum) faults.add(`${ratio.toFixed(2)}: ${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''} "${(node.textContent ?? '').trim().slice(0, 30)}"`);
    }
    return [...faults];
  }, CONTRAST_MIN);
}

/** Elements that reach over the window's right edge, but for those in a part that scrolls by itself. */
export function widthFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => [...document.body.querySelectorAll('*')]
    .filter((one) => one.checkVisibility() && one.closest('.scroll > *, .skip, svg, .plot-canvas') === null && one.getBoundingClientRect().right > innerWidth + 0.5)
    .map((one) => `${one.tagName.toLowerCase()}#${one.id}.${one.getAttribute('class') ?? ''}`)
    .concat(document.documentElement.scrollWidth > innerWidth ? ['the document scrolls sideways'] : []));
}

export interface Stop {
  /** `button#theme`, `input[name=pod]`. */
  readonly what: string;
  /** An outline that can be seen. */
  readonly isSeen: boolean;
}

/** Every place that Tab comes to, from the top of the document until it leaves the page. */
export async function tabStops(page: Page, most = 60): Promise<Stop[]> {
  const stops: Stop[] = [];
  for (let i = 0; i < most; i++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      if (at === null || at === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      const name = at.getAttribute('name');
      return {
        what: `${at.tagName.toLowerCase()}${at.id !== '' ? `#${at.id}` : name !== null ? `[name=${name}]` : `.${at.className}`}`,
        isSeen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2,
      };
    });
    if (stop === null) break;
    stops.push(stop);
  }
  return stops;
}

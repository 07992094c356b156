/** Selectors of lists, as an API server understands them: written for the tests, by another hand than what writes such selectors. */
export interface Selectable {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: { readonly nodeName?: string; readonly [key: string]: unknown };
}

/** `a=b,c!=d,e in (x,y),f notin (z),g,!h`. */
export function matchesLabels(selector: string, labels: Readonly<Record<string, string>>): boolean {
  const terms = selector === '' ? [] : selector.split(/,(?![^(]*\))/);
  return terms.every((term) => {
    const set = /^(\S+) (in|notin) \(([^)]*)\)$/.exec(term);
    if (set !== null) {
      const value = Object.hasOwn(labels, set[1]) ? labels[set[1]] : null;
      const isIn = value !== null && set[3].split(',').includes(value);
      return set[2] === 'in' ? isIn : !isIn;
    }
    const unequal = term.split('!=');
    if (unequal.length === 2) return labels[unequal[0]] !== unequal[1];
    const equal = term.split('=');
    if (equal.length === 2) return labels[equal[0]] === equal[1];
    return term.startsWith('!') ? !Object.hasOwn(labels, term.slice(1)) : Object.hasOwn(labels, term);
  });
}

/** `spec.nodeName=x` and `metadata.name=x`, with commas between; `!=` as well. */
export function matchesFields(selector: string, object: Selectable): boolean {
  const terms = selector === '' ? [] : selector.split(',');
  return terms.every((term) => {
    const [, field, operator, value] = /^([^!=]+)(!?=)(.*)$/.exec(term) ?? [];
    const found = field === 'spec.nodeName' ? object.spec?.nodeName ?? '' : field === 'metadata.name' ? object.metadata.name : null;
    if (found === null) throw new Error(`field selector "${term}" is not supported`);
    return operator === '=' ? found === value : found !== value;
  });
}

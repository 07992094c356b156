/** Orders texts by code unit: the same on every machine, unlike a locale's order. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** JSON of the item decides: for small plain objects with a fixed order of keys. */
export function sortedDistinct<T>(items: Iterable<T>): T[] {
  const found = new Map<string, T>();
  for (const item of items) found.set(JSON.stringify(item), item);
  return [...found].sort(([a], [b]) => byText(a, b)).map(([, item]) => item);
}

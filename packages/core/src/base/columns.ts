/** Columns of numbers that grow: what is kept per row of a table, without an object per row. Knows no table. */

type Column = Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

const ROWS_MIN = 64;
/** A column grows by this share of itself: so much of it is unused at most, and a row is copied about as many times in all. */
const GROWTH_SHARE = 8;

/** The next larger number of rows. */
export function moreRows(rows: number): number {
  return rows + Math.max(ROWS_MIN, Math.ceil(rows / GROWTH_SHARE));
}

/** The column with room for `length` numbers; what is new in it is 0. */
export function grown<T extends Column>(column: T, length: number): T {
  const larger = new (column.constructor as new (length: number) => T)(length);
  larger.set(column);
  return larger;
}

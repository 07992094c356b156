/** Long work in short pieces: the event loop gets its turn between them. */

/** So many rows of the connection table take a millisecond or two. */
const ROWS_PER_TURN = 4096;

/** Calls `visit` with 0, 1 … `count` - 1, in turns of the event loop. Rejects with what `visit` throws. */
export async function inTurns(count: number, visit: (index: number) => void): Promise<void> {
  for (let start = 0; start < count; start += ROWS_PER_TURN) {
    if (start > 0) await new Promise((resolve) => { setImmediate(resolve); });
    for (let i = start; i < Math.min(count, start + ROWS_PER_TURN); i++) visit(i);
  }
}

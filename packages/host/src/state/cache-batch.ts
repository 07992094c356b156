/** Changes that become durable together, and how who waits for them is told. */
export interface Batch {
  readonly promise: Promise<void>;
  readonly settle: () => void;
}

export function newBatch(): Batch {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
}

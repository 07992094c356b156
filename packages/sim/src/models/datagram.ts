/** What clients send and what is known about it. */

/** One client socket: a pod's address and a source port. */
export interface Flow {
  readonly number: number;
  /** 16 bytes as four words, network order in memory; IPv4 as IPv4-mapped. */
  readonly address: Uint32Array;
  readonly port: number;
  readonly hash: number;
  /** Index of the pod in the workload, −1 for a stranger. */
  readonly pod: number;
  /** Queries that have no answer yet, by message ID. */
  readonly open: Map<number, Query>;
}

/** One question of one client: asked once, never again. */
export interface Query {
  readonly number: number;
  readonly flow: Flow;
  readonly id: number;
  /** Index into the workload's names; −1 for what is no question. */
  readonly name: number;
  readonly type: number;
  readonly sentMs: number;
  answers: number;
  /** Answers more than one that a send which was preempted in the middle excuses. */
  excused: number;
}

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly flow: Flow;
  readonly query: Query;
}

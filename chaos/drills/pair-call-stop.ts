import { join } from 'node:path';
import { within } from '#harness/until.js';
import { NEVER_TWICE, NOT_DELAYED, NOTHING_LOST } from '../lib/drill.js';
import type { Drill } from '../lib/drill.js';
import { LinkRelay } from '../lib/relay.js';

const PAUSED_MS = 1_500;
const DEADLINE_MS = 15_000;

export const pairCallStop: Drill = {
  name: 'pair-call-stop',
  hypothesis: 'A peer that stands still in the middle of a call on the pair link delays no answer.',
  steadyState: 'Both members answer; no query is lost, answered twice or answered wrongly.',
  fault: `agent is stopped for ${String(PAUSED_MS / 1_000)} s when half of a message of dns-proxy has reached it.`,
  expected: [...NOTHING_LOST, NEVER_TWICE, NOT_DELAYED],
  abort: { afterSeconds: 40, lostMost: 5_000 },
  names: 50_000,
  run: async (stage) => {
    const relay = await LinkRelay.interpose(join(stage.pair.runDir, 'pair.sock'));
    try {
      await stage.drain('dns-proxy');
      await stage.launch('dns-proxy');
      await stage.redundant();
      stage.prove('the link goes through the relay', relay.connections > 0, `${String(relay.connections)} connections`);
      await stage.answeredFor('agent', async () => {
        await within('a message on the link', DEADLINE_MS, relay.half());
        await stage.hang('agent', PAUSED_MS);
        relay.release();
        await stage.calm();
      });
      await stage.redundant();
    } finally {
      relay.close();
    }
    await stage.redundant();
  },
};

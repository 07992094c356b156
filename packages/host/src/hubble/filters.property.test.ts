import { deepStrictEqual } from 'node:assert/strict';
import { FlowFilter, GetFlowsRequest } from '@tandem/proto';
import fc from 'fast-check';
import t from 'tap';
import { compileFilters } from './flow-filter.js';
import { ListedFlows } from './testing/listed-flows.js';
import { FIELD_NAMES, filterOf, flows, request } from './testing/random-flows.js';
import { referenceMatches, referenceQuery } from './testing/reference.js';
import { serve, uuidsOf } from './testing/served-flows.js';

const RUNS = 300;
const RUNS_PER_FIELD = 60;

t.test('the service answers any request as a dumb reference does', async (t) => {
  const log = new ListedFlows();
  const { client } = await serve(t, log);
  let sent = 0;
  await fc.assert(fc.asyncProperty(flows, request, async (flows, fields) => {
    log.replace(flows);
    const asked = GetFlowsRequest.fromPartial(fields);
    const expected = referenceQuery(asked, flows).map(({ uuid }) => uuid);
    deepStrictEqual(await uuidsOf(client, fields), expected);
    sent += expected.length;
  }), { numRuns: RUNS });
  t.ok(sent > RUNS / 10, `${sent} flows came through the filters`);
});

t.test('each field of a filter matches as the reference says, now so, now so', (t) => {
  const covered = Object.keys(FlowFilter.create()).filter((field) => field !== 'experimental');
  t.strictSame([...FIELD_NAMES].sort(), covered.sort(), 'no field is left out');
  for (const field of FIELD_NAMES) {
    const counts = { matched: 0, passed: 0 };
    fc.assert(fc.property(flows, filterOf(field), (flows, filter) => {
      const matches = compileFilters({ whitelist: [filter], blacklist: [] });
      for (const flow of flows) {
        const isMatch = matches(flow);
        if (isMatch !== referenceMatches(filter, flow)) throw new Error(`${JSON.stringify(FlowFilter.toJSON(filter))} says ${isMatch}`);
        counts[isMatch ? 'matched' : 'passed']++;
      }
    }), { numRuns: RUNS_PER_FIELD });
    t.ok(counts.matched > 0 && counts.passed > 0, `${field}: ${counts.matched} matched, ${counts.passed} did not`);
  }
  t.end();
});

import t from 'tap';
import { ownAddress } from '../harness/address.js';
import { dnsPolicy } from '../harness/manifests.js';
import { ROLES } from '../harness/pair.js';
import { buildAnswer } from '../harness/wire.js';
import { startBench } from './start.js';

interface Trace {
  readonly verdict: 'allow' | 'refuse';
  readonly reason: string;
  readonly rule: { readonly kind: string; readonly name: string; readonly path: string; readonly pattern: string | null } | null;
  readonly nearest: readonly { readonly name: string; readonly missed: string }[];
}

const { pair } = await startBench(t, ({ query }) => buildAnswer(query, []));
const server = (port: number, protocol = 'UDP'): string => `${ownAddress}:${String(port)}/${protocol}`;

function trace(from: string, at: string, name: string, role: string): Promise<Trace> {
  return pair.cliJson<Trace>('policy', 'trace', '--from', from, '--server', at, '--name', name, '--member', role);
}

t.test('a trace names the rule that allows, on both members', async (t) => {
  for (const role of ROLES) {
    for (const protocol of ['UDP', 'TCP']) {
      const result = await trace('default/client-a', server(53, protocol), 'www.a.test', role);
      t.match(result, { verdict: 'allow', rule: { kind: 'CiliumNetworkPolicy', name: 'policy-a', path: /^spec\.egress\[0\]/, pattern: /\*\.a\.test\.?/ } }, `${role} ${protocol}`);
    }
  }
});

t.test('a trace of a refusal says what the nearest rule lacked', async (t) => {
  const cases = [
    ['name', 'default/client-a', server(53), 'www.b.test'],
    ['port', 'default/client-a', server(5353), 'www.a.test'],
    ['server', 'default/client-a', '203.0.113.53:53/UDP', 'www.a.test'],
  ] as const;
  for (const [lacking, from, at, name] of cases) {
    const result = await trace(from, at, name, 'agent');
    t.match(result, { verdict: 'refuse', rule: null }, lacking);
    t.match(result.nearest[0], { name: 'policy-a', missed: new RegExp(lacking, 'i') }, JSON.stringify(result));
  }
});

t.test('a trace from a pod that is not there says so', async (t) => {
  const { code, output } = await pair.cli('policy', 'trace', '--from', 'default/nobody', '--server', server(53), '--name', 'www.a.test');
  t.equal(code, 64, output);
  t.match(output, 'default/nobody');
  t.notMatch(output, /\n\s+at .*\.js/, 'one clear line and no stack');
});

t.test('status shows each member, its policy and its peer', async (t) => {
  for (const role of ROLES) {
    const { code, output } = await pair.cli('status', '--member', role);
    t.equal(code, 0, output);
    t.match(output, role);
    t.match(await pair.cliJson('status', '--member', role), { role, readiness: { ready: true }, peer: { connected: true } });
  }
});

t.test('endpoints and policies are listed alike by both', async (t) => {
  for (const noun of ['endpoint', 'policy']) {
    const [a, b] = await Promise.all(ROLES.map((role) => pair.cliJson<unknown[]>(noun, 'list', '--member', role)));
    t.equal(a.length, 2, noun);
    t.strictSame(a, b);
    const { code, output } = await pair.cli(noun, 'list', '-o', 'yaml');
    t.equal(code, 0, output);
  }
});

t.test('validate tells all problems of a file and exits with 65', async (t) => {
  const good = dnsPolicy('good', { app: 'a' }, ['*.a.test']);
  pair.writeManifest('../good.json', good);
  t.equal((await pair.cli('policy', 'validate', `${pair.folder}/good.json`)).code, 0);
  const bad = JSON.stringify(good, null, 2).replace('"53"', '"70000"').replace('"toEndpoints"', '"toEndpoint"');
  pair.writeManifest('../bad.json', bad);
  const { code, output } = await pair.cli('policy', 'validate', `${pair.folder}/bad.json`);
  t.equal(code, 65, output);
  t.match(output, /bad\.json:\d+:\d+.*70000/s);
  t.match(output, /bad\.json:\d+:\d+.*toEndpoint/s);
});

t.test('an unknown flag, command or member is a usage error with exit code 64', async (t) => {
  for (const args of [['frobnicate'], ['status', '--wrong'], ['status', '--member', 'nobody'], ['policy', 'trace']]) {
    const { code, output } = await pair.cli(...args);
    t.equal(code, 64, `${args.join(' ')}: ${output}`);
  }
});

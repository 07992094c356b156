/** Some tables through `tandem policy trace` of a running pair: what a person at the command line is told. */
import { loadManifests } from '@tandem/manifests';
import t from 'tap';
import { Pair, ROLES } from '../harness/pair.js';
import { settled } from '../harness/policy-edit.js';
import { NODE, titleOf, type Case, type Group } from './case.js';
import { tables } from './tables.js';

const GROUPS = ['a denied DNS server answers nothing', 'exceptions', 'denied ports and protocols', 'query types', 'both sides must agree'];
/** Spread over each group: a start of the command takes a fifth of a second. */
const CASES_PER_GROUP = 3;
const MANIFEST = 'group.yaml';

interface Rule {
  readonly name: string;
  readonly path: string;
}

interface Side {
  readonly verdict: string;
  readonly rule: Rule | null;
  readonly nearest: readonly { readonly explanation: string }[];
  readonly deniedBy: readonly Rule[];
}

/** A question's trace is a side itself, and has no others. */
interface Trace extends Side {
  readonly egress?: Side;
  readonly ingress?: Side;
}

const groups = GROUPS.map((wanted) => tables.find(({ name }) => name === wanted)!);

/** Only local pods have names in a snapshot. */
function peersOf({ manifests }: Group): (text: string) => string {
  const { objects } = loadManifests([{ path: MANIFEST, text: manifests }]);
  return (text) => {
    const pod = objects?.pods.find(({ namespace, name }) => text === `${namespace}/${name}`);
    return pod === undefined || pod.nodeName === NODE ? text : pod.addresses[0];
  };
}

function argumentsOf(one: Case, peer: (text: string) => string): string[] {
  const bracketed = (text: string): string => (text.includes(':') ? `[${text}]` : text);
  const at = `${String(one.port)}/${one.protocol.toUpperCase()}`;
  if (one.kind === 'dns') return ['--from', one.from, '--server', `${bracketed(one.server)}:${at}`, '--name', one.name, '--type', `TYPE${String(one.type)}`];
  return ['--from', peer(one.from), '--to', `${bracketed(peer(one.to))}:${at}`, ...(one.fqdn === null ? [] : ['--name', one.fqdn])];
}

const WORDS = { allowed: 'allow', refused: 'refuse', denied: 'deny' } as const;

// A trace asks nobody: there need be no server.
const pair = await Pair.start({ upstreams: [{ address: '127.0.0.53', port: 53 }], manifests: { [MANIFEST]: groups[0].manifests } });
t.teardown(async () => {
  if (!t.passing()) t.comment(pair.output());
  await pair.stop();
});

for (const group of groups) {
  t.test(group.name, async (t) => {
    if (group !== groups[0]) {
      const { revision } = (await pair.status('agent')).policy;
      pair.writeManifest(MANIFEST, group.manifests);
      await settled(pair, revision);
    }
    const peer = peersOf(group);
    const every = Math.ceil(group.cases.length / CASES_PER_GROUP);
    const cases = group.cases.filter((_, index) => index % every === 0);
    await Promise.all(cases.map(async (one, index) => {
      const told = await pair.cliJson<Trace>('policy', 'trace', ...argumentsOf(one, peer), '--member', ROLES[index % 2]);
      t.equal(told.verdict, WORDS[one.verdict], titleOf(one), { told });
      const sides = told.egress === undefined || told.ingress === undefined ? [told] : [told.egress, told.ingress];
      if (one.rule !== null) {
        const { rule } = one;
        t.ok(sides.some((side) => side.rule !== null && `${side.rule.name} ${side.rule.path}`.startsWith(rule)), `${titleOf(one)}: by ${rule}`, { sides });
      }
      const deciding = sides.filter((side) => side.verdict === told.verdict);
      if (one.verdict !== 'allowed') t.ok(deciding.some((side) => side.rule !== null || side.nearest.length > 0 || side.deniedBy.length > 0), `${titleOf(one)}: it is told why`, { sides });
    }));
  });
}

t.test('as text, the verdict stands first', async (t) => {
  const last = groups[groups.length - 1];
  const { code, output } = await pair.cli('policy', 'trace', ...argumentsOf(last.cases[0], peersOf(last)));
  t.equal(code, 0, output);
  t.match(output, new RegExp(`^Verdict +${WORDS[last.cases[0].verdict]}`));
});

t.test('a question that cannot be asked is a usage error', async (t) => {
  for (const args of [['--from', 'shop/web'], ['--from', 'shop/web', '--to', 'nonsense'], ['--from', 'nobody/here', '--to', '203.0.113.7:443/TCP']]) {
    const { code, output } = await pair.cli('policy', 'trace', ...args);
    t.equal(code, 64, output);
  }
});

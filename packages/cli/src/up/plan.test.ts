import t from 'tap';
import { LAUNCHERS, planUp } from './plan.js';

const ZONE = { address: '127.0.0.153', port: 5_353, family: 4 } as const;

function planned(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const plan = planUp({ argv: ['--run-dir=/tmp/tandem-plan', ...argv], env, programs: LAUNCHERS });
  const [agent, dnsProxy] = plan.commandsFor(plan.needsDemoZone ? ZONE : null).map((command) => command.argv.join(' '));
  return { plan, agent, dnsProxy };
}

t.test('without flags there are the examples and the demo zone', (t) => {
  const { plan, agent, dnsProxy } = planned([]);
  t.match(plan, { needsDemoZone: true, isDemo: true });
  t.match(agent, /--manifests=\S*examples\/quickstart --upstream=127\.0\.0\.153:5353/);
  t.match(dnsProxy, '--upstream=127.0.0.153:5353');
  t.end();
});

t.test('no default stands beside what excludes it', (t) => {
  for (const [argv, env] of [[['--kubernetes'], {}], [['--kubernetes=1'], {}], [[], { TANDEM_KUBERNETES: 'true' }], [[], { TANDEM_KUBERNETES: '1' }]] as const) {
    const { plan, agent } = planned(argv, env);
    t.match(plan, { needsDemoZone: true, isDemo: false, settings: { manifestsDir: null } });
    t.notMatch(agent, '--manifests');
  }
  const { plan, agent, dnsProxy } = planned(['--mode', 'transparent']);
  t.match(plan, { needsDemoZone: false, isDemo: true, settings: { upstreams: [] } });
  for (const argv of [agent, dnsProxy]) t.notMatch(argv, '--upstream');
  t.match(planned(['--kubernetes=false', '--mode=explicit']), { plan: { needsDemoZone: true, isDemo: true }, agent: /--manifests=/ });
  t.end();
});

t.test("--hubble-listen is the agent's, and dns-proxy has the next port, or a socket of its own", (t) => {
  const table: readonly [string, string][] = [
    ['127.0.0.1:4244', '127.0.0.1:4245'], ['[::1]:4244', '[::1]:4245'], ['unix:/tmp/h.sock', 'unix:/tmp/h.sock.dns-proxy'], ['', ''],
  ];
  for (const [given, next] of table) {
    const { agent, dnsProxy } = planned([`--hubble-listen=${given}`]);
    t.equal(/--hubble-listen=(\S*)/.exec(agent)?.[1], given);
    t.equal(/--hubble-listen=(\S*)/.exec(dnsProxy)?.[1], next);
  }
  t.notMatch(planned([]).agent, '--hubble-listen');
  t.throws(() => planned(['--hubble-listen=127.0.0.1:65535']), { code: 'USAGE', message: /65534 is the highest/ });
  t.end();
});

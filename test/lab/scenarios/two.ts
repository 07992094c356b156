/** Scenario 2: default deny, step by step. */
import { Tandem } from '../topology/tandem.js';
import { SERVICES } from '../topology/plan.js';
import { examplePolicy, finding, SOON_MS } from './stage.js';
import type { Flow, Stage } from './stage.js';

const POLICY_FILE = 'policy-productpage.json';
const CLIENT_FILE = 'policy-internal-client.yaml';
const ECHO = { name: 'echo.k8s.intra', v4: '172.17.0.2', v6: '2001:db8:17::2' };
const CNN = { name: 'cnn.com', v4: '198.51.100.40', v6: '2001:db8:17:100::40' };
const EXPANSION = `${CNN.name}.lab.svc.cluster.local.`;

const kubeDns = { toEndpoints: [{ matchLabels: { 'k8s:io.kubernetes.pod.namespace': 'kube-system', 'k8s-app': 'kube-dns' } }] };
const ports = [{ port: '53', protocol: 'ANY' }];
const dnsWithoutRules = { ...kubeDns, toPorts: [{ ports }] };
const dnsWithRules = { ...kubeDns, toPorts: [{ ports, rules: { dns: [{ matchPattern: '*' }] } }] };
const twoServices = { toEndpoints: [{ matchLabels: { app: 'reviews' } }, { matchLabels: { app: 'details' } }] };

function productpage(egress: readonly object[]): object {
  return {
    apiVersion: 'cilium.io/v2', kind: 'CiliumNetworkPolicy', metadata: { name: 'productpage', namespace: 'lab' },
    spec: { endpointSelector: { matchLabels: { app: 'productpage' } }, egress },
  };
}

export async function defaultDeny(stage: Stage): Promise<void> {
  const here = await Tandem.start(stage.lab, 1);
  await noPolicy(stage);
  await allDenied(stage, here);
  await dnsOpen(stage, here);
  await dnsSeen(stage, here);
  await pagesWork(stage, here);
  await oneNameOutside(stage, here);
}

function serviceAddress(stage: Stage, name: string): string {
  return stage.address(SERVICES.find((service) => service.name === name)!.address);
}

async function noPolicy(stage: Stage): Promise<void> {
  stage.tell.step('1. No policy: everything connects');
  for (const name of ['reviews', 'details', 'ratings', ECHO.name]) await stage.works('productpage', `http://${name}`);
  await stage.works('reviews-v2', 'http://ratings');
  await stage.works('internal-client', `http://${CNN.name}`);
}

async function allDenied(stage: Stage, here: Tandem): Promise<void> {
  stage.tell.step('2. egress: [{}] on productpage');
  await stage.policy(POLICY_FILE, productpage([{}]), [here]);
  for (const name of ['reviews', 'details', 'ratings']) await stage.isDeniedAt('productpage', name, serviceAddress(stage, name));
  await stage.isDeniedAt('productpage', ECHO.name, stage.address(ECHO));
  stage.tell.did('its ingress is untouched');
  await stage.works('internal-client', 'http://productpage');
  await stage.observes(here, ['--from-pod', 'lab/productpage'], [/policy-verdict:none EGRESS DENIED \(TCP Flags: SYN\)/, /Policy denied DROPPED \(TCP Flags: SYN\)/]);
}

async function dnsFlows(stage: Stage, here: Tandem, name: string): Promise<Flow[]> {
  return (await stage.flows(here, '--pod', 'lab/productpage')).filter((flow) => flow.l7?.dns?.query === name);
}

async function dnsOpen(stage: Stage, here: Tandem): Promise<void> {
  stage.tell.step('3. + DNS allowed, without rules for names');
  await stage.policy(POLICY_FILE, productpage([{}, dnsWithoutRules]), [here]);
  const answer = await stage.answers('productpage', 'ratings.lab.svc.cluster.local', 'NOERROR');
  stage.tell.expect('the address of the Service', finding(answer.addresses, answer.addresses.includes(serviceAddress(stage, 'ratings'))));
  for (const name of ['reviews', 'ratings', ECHO.name]) await stage.isDenied('productpage', `http://${name}`);
  const seen = await dnsFlows(stage, here, 'ratings.lab.svc.cluster.local.');
  stage.tell.expect('nobody looks into its lookups', finding(`${String(seen.length)} flows with the name`, seen.length === 0));
}

async function dnsSeen(stage: Stage, here: Tandem): Promise<void> {
  stage.tell.step('4. + rules.dns "*"');
  await stage.policy(POLICY_FILE, productpage([{}, dnsWithRules]), [here]);
  await stage.answers('productpage', 'ratings.lab.svc.cluster.local', 'NOERROR');
  await stage.answers('productpage', 'ratings.lab.svc.cluster.local', 'NOERROR', ['+tcp']);
  await stage.tell.expectSoon('every lookup is visible, over UDP and TCP', SOON_MS, async () => {
    const seen = await dnsFlows(stage, here, 'ratings.lab.svc.cluster.local.');
    const protocols = new Set(seen.flatMap((flow) => Object.keys(flow.l4 ?? {})));
    return finding(`${String(seen.length)} flows over ${[...protocols].join(', ')}`, seen.length >= 4 && protocols.has('UDP') && protocols.has('TCP'));
  });
  await stage.isDenied('productpage', 'http://ratings');
}

async function pagesWork(stage: Stage, here: Tandem): Promise<void> {
  stage.tell.step('5. + toEndpoints reviews, details');
  await stage.policy(POLICY_FILE, productpage([{}, dnsWithRules, twoServices]), [here]);
  await stage.works('productpage', 'http://details');
  const served = new Set<string>();
  for (let i = 0; i < 40 && served.size < 3; i++) {
    const { reached, text } = await stage.curl('productpage', 'http://reviews');
    served.add(reached === 'works' ? text.split(' ')[0] : reached);
  }
  stage.tell.did('productpage: curl http://reviews, until each of its pods has served it');
  stage.tell.expect('reviews-v1, -v2, -v3, on both nodes', finding([...served].sort(), [...served].sort().join() === 'reviews-v1,reviews-v2,reviews-v3'));
  stage.tell.did('replies need no rule');
  await stage.works('internal-client', 'http://productpage');
  await stage.isDenied('productpage', 'http://ratings');
  await stage.works('reviews-v2', 'http://ratings');
}

async function oneNameOutside(stage: Stage, here: Tandem): Promise<void> {
  stage.tell.step('6. internal-client: toFQDNs ifconfig.me');
  await stage.policy(CLIENT_FILE, examplePolicy('scenario-default-deny').split(/^---$/m)[2], [here]);
  await stage.works('internal-client', 'http://ifconfig.me');
  await stage.isDenied('internal-client', `http://${CNN.name}`);
  await stage.observes(here, ['--pod', 'lab/internal-client'], [
    new RegExp(`dns-response proxy FORWARDED \\(DNS Answer .*NXDOMAIN.*Proxy ${EXPANSION.replaceAll('.', '\\.')} ${stage.type}\\)|dns-response proxy FORWARDED \\(DNS Answer RCode: Non-Existent Domain.*${EXPANSION.replaceAll('.', '\\.')}`),
    new RegExp(`dns-response proxy FORWARDED \\(DNS Answer "${stage.address(CNN).replaceAll('.', '\\.')}"`), /policy-verdict:none EGRESS DENIED/, /Policy denied DROPPED/,
  ]);
  const flows = await stage.flows(here, '--from-pod', 'lab/internal-client');
  const lookup = flows.find((flow) => flow.l7?.dns?.query === `${CNN.name}.`);
  stage.tell.expect('the flow of the lookup has endpoint, identity, namespace, labels, workloads, pod name, verdict, direction, IP, l4, l7, node name', finding(lookup ?? 'none', lookup !== undefined && isWhole(lookup) && lookup.verdict === 'FORWARDED'));
  const dropped = flows.find((flow) => flow.verdict === 'DROPPED' && flow.IP.destination === stage.address(CNN));
  stage.tell.expect('so has the flow of the connection that was denied, without l7', finding(dropped ?? 'none', dropped !== undefined && isWhole(dropped) && dropped.drop_reason_desc === 'POLICY_DENIED'));
}

/** Everything that a flow of internal-client's must say. */
function isWhole(flow: Flow): boolean {
  const { source } = flow;
  return (source.ID ?? 0) > 0 && (source.identity ?? 0) > 0 && source.namespace === 'lab' && source.pod_name === 'internal-client' && (source.labels ?? []).includes('k8s:app=internal-client') &&
    (source.workloads ?? []).length > 0 && flow.traffic_direction === 'EGRESS' && flow.l4 !== undefined && flow.IP.source !== '' && flow.node_name === 'node-1';
}

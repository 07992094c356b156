/** All tables in process: manifests are read, compiled and traced; the verdict and the rule that decides must be the table's. */
import { AppError, L4_PROTOCOL, PolicyIndex, compileSnapshot, trace, traceConnection, type PolicyObjects, type RuleOrigin } from '@tandem/core';
import { loadManifests } from '@tandem/manifests';
import t, { type Test } from 'tap';
import { admission } from './admission.js';
import { NODE, titleOf, type ConnectionCase, type DnsCase, type Group } from './case.js';
import { tables } from './tables.js';

/** What the suite promises to hold at least. */
const CASES_MIN = 700;

function objectsOf({ name, manifests }: Group): PolicyObjects {
  const { objects, problems } = loadManifests([{ path: `${name}.yaml`, text: manifests }]);
  if (objects === null) throw new Error(`${name}: ${JSON.stringify(problems, null, 2)}`);
  return objects;
}

function indexOf(group: Group, objects: PolicyObjects): PolicyIndex {
  const { snapshot } = compileSnapshot(objects, { nodeName: NODE, enablePolicy: group.settings?.enablePolicy ?? 'default', allotment: null, revision: 1 });
  return PolicyIndex.build(snapshot, null);
}

/** Only local pods have names in a snapshot; others are told by their address. */
function peerOf(text: string, objects: PolicyObjects): string {
  if (!text.includes('/')) return text;
  const pod = objects.pods.find(({ namespace, name }) => text === `${namespace}/${name}`);
  if (pod === undefined) throw new Error(`there is no pod ${text}`);
  return pod.nodeName === NODE ? text : pod.addresses[0];
}

/** `policy path`, as tables have it. */
function textOf(rule: RuleOrigin | null | undefined): string {
  return rule === null || rule === undefined ? '' : `${rule.name} ${rule.path}`;
}

function hasAllowing(index: PolicyIndex, ruleSet: number): boolean {
  return index.snapshot.ruleSets[ruleSet].rules.some((rule) => rule.deny !== true);
}

function checkDns(t: Test, index: PolicyIndex, one: DnsCase): void {
  const title = `${titleOf(one)} [${one.source}]`;
  const { from, server, port, name, type } = one;
  const told = trace(index, { from, server, port, protocol: L4_PROTOCOL[one.protocol], name, type });
  t.equal(told.verdict, one.verdict, title, { told });
  if (one.rule !== null && told.verdict === one.verdict) t.ok(textOf(told.rule?.origin).startsWith(one.rule), `${title}: by ${one.rule}`, { rule: told.rule });
  // A refusal must be explained: by what is nearest, where a rule is.
  const ruleSet = told.endpoint?.ruleSet ?? null;
  if (told.reason === 'no-rule' && ruleSet !== null && hasAllowing(index, ruleSet)) t.not(told.near.length, 0, `${title}: what is nearest is told`);
  if (told.reason === 'denied-by-rule') t.not(told.rule, null, `${title}: what denies is told`);
}

function checkConnection(t: Test, index: PolicyIndex, objects: PolicyObjects, one: ConnectionCase): void {
  const title = `${titleOf(one)} [${one.source}]`;
  const { port, fqdn } = one;
  const told = traceConnection(index, { from: peerOf(one.from, objects), to: peerOf(one.to, objects), port, protocol: L4_PROTOCOL[one.protocol], name: fqdn });
  t.equal(told.verdict, one.verdict, title, { told });
  const sides = [told.egress, told.ingress];
  if (one.rule !== null && told.verdict === one.verdict) {
    const wanted = one.rule;
    const found = sides.some((side) => side.verdict === told.verdict && textOf(side.rule).startsWith(wanted));
    t.ok(found, `${title}: by ${wanted}`, { rules: sides.map(({ rule }) => rule) });
  }
  for (const [side, ruleSet] of [[told.egress, told.from.endpoint?.ruleSet], [told.ingress, told.to.endpoint?.ingressRuleSet]] as const) {
    const isExplained = side.near.length > 0 || typeof ruleSet !== 'number' || !hasAllowing(index, ruleSet);
    if (side.reason === 'no-rule') t.ok(isExplained, `${title}: what is nearest is told`);
    if (side.reason === 'denied-by-rule') t.not(side.rule, null, `${title}: what denies is told`);
  }
}

t.test('the tables are whole', (t) => {
  const cases = tables.flatMap((group) => group.cases);
  t.ok(cases.length + admission.length >= CASES_MIN, `${String(cases.length)} questions and ${String(admission.length)} refused manifests`);
  t.equal(new Set(tables.map(({ name }) => name)).size, tables.length, 'each group has a name of its own');
  for (const one of [...cases, ...admission]) if (one.source.trim() === '') t.fail(`${JSON.stringify(one)} has no source`);
  for (const { name, cases } of tables) t.equal(new Set(cases.map(titleOf)).size, cases.length, `${name}: no question stands twice`);
  t.end();
});

for (const group of tables) {
  t.test(group.name, (t) => {
    const objects = objectsOf(group);
    const index = indexOf(group, objects);
    for (const one of group.cases) {
      try {
        if (one.kind === 'dns') checkDns(t, index, one);
        else checkConnection(t, index, objects, one);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        t.fail(`${titleOf(one)}: ${error.message}`);
      }
    }
    t.end();
  });
}

/** The JSON form of a policy trace: core's result with each rule's origin spread out and the verdict's reason as a sentence. */
import type { RuleOrigin, TraceMiss, TraceResult, TraceServer } from '@tandem/core';

export interface TraceView {
  /** As the member acts, its settings included; `audit`: refused by policy, but let pass by `--policy-audit-mode`. */
  readonly verdict: 'allow' | 'refuse' | 'audit';
  readonly cause: TraceResult['reason'];
  /** `cause` as a sentence. */
  readonly reason: string;
  /** Who asks; null for an address that is no local endpoint. */
  readonly endpoint: { readonly id: number; readonly identity: number; readonly namespace: string; readonly pod: string } | null;
  readonly server: TraceServer;
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
  /** Lower case, with the trailing dot. */
  readonly name: string;
  /** The rule that allows, and its pattern that matched (null: any name); null on a refusal or without policy. */
  readonly rule: (RuleOrigin & { readonly pattern: string | null }) | null;
  /** On a refusal or audit: what each rule of the endpoint lacked, nearest first. */
  readonly nearest: readonly (RuleOrigin & { readonly missed: TraceMiss; readonly explanation: string })[];
  /** On a refusal or audit: the policies' specs that close the endpoint, so that what no rule allows is refused. */
  readonly deniedBy: readonly RuleOrigin[];
  /** Of the snapshot that was asked. */
  readonly revision: number;
}

const VERDICTS: Readonly<Record<TraceResult['verdict'], TraceView['verdict']>> = { allowed: 'allow', refused: 'refuse', audit: 'audit' };
const REASONS: Readonly<Record<TraceResult['reason'], string>> = {
  'rule': 'a rule allows it',
  'no-policy': 'no egress policy selects the endpoint: it may ask anything',
  'no-rule': 'default deny: egress policy selects the endpoint, and no rule allows this',
  'unknown-endpoint': 'the address is no local endpoint, and --unknown-endpoint is "refuse"',
};

const ALWAYS = 'no policy closes the endpoint, but --enable-policy is "always", and no rule allows this';

function sentenceOf({ verdict, reason, deniedBy }: TraceResult): string {
  if (reason === 'unknown-endpoint' && verdict === 'allowed') return REASONS[reason].replace('"refuse"', '"allow"');
  const text = reason === 'no-rule' && deniedBy.length === 0 ? ALWAYS : REASONS[reason];
  return verdict === 'audit' ? `${text}; --policy-audit-mode lets it pass` : text;
}

export function traceViewOf(result: TraceResult): TraceView {
  const { endpoint, rule } = result;
  return {
    verdict: VERDICTS[result.verdict],
    cause: result.reason,
    reason: sentenceOf(result),
    endpoint: endpoint === null
      ? null
      : { id: endpoint.id, identity: endpoint.identity, namespace: endpoint.namespace, pod: endpoint.pod },
    server: result.server,
    port: result.port,
    protocol: result.protocol,
    name: result.name,
    rule: rule === null ? null : { ...rule.origin, pattern: rule.pattern },
    nearest: result.near.map(({ origin, missed, explanation }) => ({ ...origin, missed, explanation })),
    deniedBy: result.deniedBy,
    revision: result.revision,
  };
}

/** Runs one scenario in a lab of its own, on the terminal or as a test. */
import type { Test } from 'tap';
import { Lab } from '../topology/lab.js';
import type { LabOptions } from '../topology/lab.js';
import { inheritedAddress } from './four.js';
import { lifeOfAMapping } from './one.js';
import { labOptions, Stage } from './stage.js';
import { Telling } from './telling.js';
import type { Told } from './telling.js';
import { noAgent } from './three.js';
import { defaultDeny } from './two.js';

export interface Scenario {
  readonly title: string;
  readonly play: (stage: Stage) => Promise<void>;
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  1: { title: 'Scenario 1: the life of a mapping', play: lifeOfAMapping },
  2: { title: 'Scenario 2: default deny, step by step', play: defaultDeny },
  3: { title: 'Scenario 3: no agent, no difference', play: noAgent },
  4: { title: 'Scenario 4: the pod that inherits an address', play: inheritedAddress },
};

/** Of one run; the machine may do much else. */
const DEADLINE_MS = 300_000;

export type SetUp = Pick<LabOptions, 'wiring' | 'nfCall' | 'family'>;

export async function runScenario(number: string, options: { readonly name: string; readonly how: SetUp; readonly isKept?: boolean }, listen: (told: Told) => void): Promise<void> {
  const { name, how, isKept = false } = options;
  const lab = await Lab.held(labOptions(name, number, how));
  try {
    await SCENARIOS[number].play(new Stage(lab, new Telling(listen)));
  } finally {
    if (isKept) lab.letGo();
    else await Lab.down(name);
  }
}

/** Each over veth and bridge, IPv4 and IPv6, and with bridge-nf-call-iptables on and off. */
export const VETH: readonly SetUp[] = [{ wiring: 'veth', nfCall: 1, family: 4 }, { wiring: 'veth', nfCall: 1, family: 6 }];
export const BRIDGE: readonly SetUp[] = [{ wiring: 'bridge', nfCall: 1, family: 4 }, { wiring: 'bridge', nfCall: 0, family: 6 }];

/** All of them; with TANDEM_LAB=short one, over veths or, where `isBridged`, the last, over a bridge. */
export function ofThisRun(setUps: readonly SetUp[], isBridged: boolean): readonly SetUp[] {
  return process.env.TANDEM_LAB === 'short' ? setUps.slice(isBridged ? -1 : 0, isBridged ? undefined : 1) : setUps;
}

/** A test for each set-up, an assertion for each expectation. */
export function testScenario(t: Test, number: string, all: readonly SetUp[]): void {
  const setUps = ofThisRun(all, Number(number) % 2 === 0);
  t.setTimeout(DEADLINE_MS * setUps.length);
  for (const [index, how] of setUps.entries()) {
    const where = `${how.wiring}${how.wiring === 'bridge' ? ` with bridge-nf-call-iptables ${String(how.nfCall)}` : ''}, IPv${String(how.family)}`;
    void t.test(`${SCENARIOS[number].title}, over ${where}`, async (t) => {
      let step = '';
      let done = '';
      await runScenario(number, { name: `s${String(process.pid)}x${String(index)}`, how }, (told) => {
        if (told.kind === 'step') {
          step = told.title;
          done = '';
        } else if (told.kind === 'did') done = `${told.what}: `;
        else t.ok(told.isSo, `${step}: ${done}${told.expected}`, told.isSo ? {} : { seen: told.seen });
      });
    });
  }
}

/** All drills, in the order in which they are listed. */
import { bothDead } from '../drills/both-dead.js';
import { clockStep } from '../drills/clock-step.js';
import { corruptState } from '../drills/corrupt-state.js';
import { diskFull } from '../drills/disk-full.js';
import { drain } from '../drills/drain.js';
import { hangAgent } from '../drills/hang-agent.js';
import { hangProxy } from '../drills/hang-proxy.js';
import { killAgent } from '../drills/kill-agent.js';
import { killAlternating } from '../drills/kill-alternating.js';
import { killAtCodePoints } from '../drills/kill-at-code-points.js';
import { killProxy } from '../drills/kill-proxy.js';
import { killThief } from '../drills/kill-thief.js';
import { linkCut } from '../drills/link-cut.js';
import { oom } from '../drills/oom.js';
import { pairCallStop } from '../drills/pair-call-stop.js';
import { queryOfDeath } from '../drills/query-of-death.js';
import { rollingUpgrade } from '../drills/rolling-upgrade.js';
import { starve } from '../drills/starve.js';
import { stopContStorm } from '../drills/stop-cont-storm.js';
import { tcpDrain } from '../drills/tcp-drain.js';
import { tcpHang } from '../drills/tcp-hang.js';
import { tcpKill } from '../drills/tcp-kill.js';
import { upstreamLies } from '../drills/upstream-lies.js';
import { upstreamSilent } from '../drills/upstream-silent.js';
import { upstreamSlow } from '../drills/upstream-slow.js';
import { versionSkew } from '../drills/version-skew.js';
import type { Drill } from './drill.js';

export const DRILLS: readonly Drill[] = [
  killAgent, killProxy, killAlternating, killAtCodePoints, killThief, hangAgent, hangProxy, stopContStorm, starve, oom,
  queryOfDeath, drain, rollingUpgrade, versionSkew, tcpKill, tcpDrain, tcpHang, linkCut, pairCallStop, clockStep, diskFull, corruptState,
  upstreamSilent, upstreamSlow, upstreamLies, bothDead,
];

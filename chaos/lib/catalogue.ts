/** All drills, in the order in which they are listed and run. */
import { drain } from '../drills/drain.js';
import { hangAgent } from '../drills/hang-agent.js';
import { hangProxy } from '../drills/hang-proxy.js';
import { killAgent } from '../drills/kill-agent.js';
import { killAlternating } from '../drills/kill-alternating.js';
import { killProxy } from '../drills/kill-proxy.js';
import { stopContStorm } from '../drills/stop-cont-storm.js';
import { tcpDrain } from '../drills/tcp-drain.js';
import { tcpKill } from '../drills/tcp-kill.js';
import type { Drill } from './drill.js';

export const DRILLS: readonly Drill[] = [killAgent, killProxy, killAlternating, hangAgent, hangProxy, stopContStorm, drain, tcpKill, tcpDrain];

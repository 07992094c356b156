/** Scenario 3, each expectation an assertion: see scenarios/three.ts. */
import t from 'tap';
import { BRIDGE, testScenario, VETH } from './scenarios/run.js';

testScenario(t, '3', [...VETH, ...BRIDGE]);

/** Scenario 4, each expectation an assertion: see scenarios/four.ts. */
import t from 'tap';
import { BRIDGE, testScenario, VETH } from './scenarios/run.js';

testScenario(t, '4', [...VETH, ...BRIDGE]);

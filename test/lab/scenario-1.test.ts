/** Scenario 1, each expectation an assertion: see scenarios/one.ts. */
import t from 'tap';
import { BRIDGE, testScenario, VETH } from './scenarios/run.js';

testScenario(t, '1', [...VETH, ...BRIDGE]);

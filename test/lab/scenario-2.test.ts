/** Scenario 2, each expectation an assertion: see scenarios/two.ts. */
import t from 'tap';
import { BRIDGE, testScenario, VETH } from './scenarios/run.js';

testScenario(t, '2', [...VETH, ...BRIDGE]);

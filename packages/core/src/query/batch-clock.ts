/**
 * The time of the present batch of events, read once and shared by the steps of the path. They look it up here instead of being handed
 * it: as a call's argument a fraction is an object on V8's heap, and there would be several a query.
 */
import { monoMs } from '../base/seams.js';

export class BatchClock {
  nowMs = monoMs(0);
}

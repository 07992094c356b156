/**
 * Answers of the Observer API as JSON lines, as Hubble's client prints them with `-o json`: protobuf's JSON mapping with the names of the
 * .proto files, enums as names, 64-bit numbers as texts, times with all their digits, nothing that is zero.
 */
import { GetFlowsResponse, type Timestamp } from '@tandem/proto';
import { protobufTime } from './flow-time.js';

/** What a terminal may take for a command though JSON does not ask for its escape. */
const UNSAFE = /[\x7f-\x9f\u2028\u2029]/g;

type Json = Record<string, unknown>;

export function flowJson(response: GetFlowsResponse): Json {
  const json = GetFlowsResponse.toJSON(response) as Json;
  keepTime(json, 'time', response.time);
  const { responseTypes } = response;
  if (responseTypes?.$case === 'flow') keepTime(json.flow as Json, 'time', responseTypes.value.time);
  if (responseTypes?.$case === 'lostEvents') {
    keepTime(json.lost_events as Json, 'first', responseTypes.value.first);
    keepTime(json.lost_events as Json, 'last', responseTypes.value.last);
  }
  return json;
}

export function flowJsonLine(response: GetFlowsResponse): string {
  return `${JSON.stringify(flowJson(response)).replace(UNSAFE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
}

/** The generated code keeps milliseconds only. */
function keepTime(json: Json, name: string, time: Timestamp | undefined): void {
  const text = time === undefined ? null : protobufTime(time);
  if (text === null) delete json[name];
  else json[name] = text;
}

/** Flows that were printed with `-o json` before: a file of JSON lines, read a line at a time. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { AppError } from '@tandem/core';
import { Flow, GetFlowsResponse } from '@tandem/proto';
import type { Io } from '../io.js';

const LINE_CHARACTERS_MAX = 1024 * 1024;

/** `-`: standard input. Also takes bare flows, as older clients print them. @throws AppError CONFIGURATION for a line that is none, USAGE for a file that cannot be read. */
export async function* flowsOfFile(io: Io, path: string): AsyncGenerator<GetFlowsResponse> {
  const where = path === '-' ? 'standard input' : path;
  const input: Readable = path === '-' ? Readable.from(io.input()) : createReadStream(path);
  let number = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      number++;
      if (line.length > LINE_CHARACTERS_MAX) throw new AppError('CONFIGURATION', `${where}:${number}: the line has more than ${LINE_CHARACTERS_MAX} characters`);
      if (line.trim() !== '') yield responseOf(`${where}:${number}`, line);
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('USAGE', `${where}: cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    input.destroy();
  }
}

function responseOf(where: string, line: string): GetFlowsResponse {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('is no object');
    if ('flow' in value || 'lost_events' in value || 'node_status' in value) return GetFlowsResponse.fromJSON(value);
    if (!('verdict' in value) && !('Type' in value) && !('uuid' in value)) throw new Error('is no flow');
    const flow = Flow.fromJSON(value);
    return { responseTypes: { $case: 'flow', value: flow }, nodeName: flow.nodeName, time: flow.time };
  } catch (error) {
    throw new AppError('CONFIGURATION', `${where}: ${error instanceof Error ? error.message : String(error)}; a line of 'tandem observe -o json' is expected`, { cause: error });
  }
}

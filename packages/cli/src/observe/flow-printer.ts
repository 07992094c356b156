/** Writes answers of the Observer API in one of Hubble's forms: flows to standard output, what happened to the stream to standard error. */
import { stringify } from 'yaml';
import { type Flow, flowPb, type GetFlowsResponse, NodeState, type relayPb } from '@tandem/proto';
import type { Io } from '../io.js';
import { columns, printable } from '../output.js';
import { flowJson, flowJsonLine } from './flow-json.js';
import { hostText, identityText, summaryText, type TextOptions, typeText, verdictText } from './flow-text.js';
import { type TimeFormat, timeText } from './flow-time.js';

export const FLOW_FORMATS = ['compact', 'dict', 'tab', 'table', 'json', 'jsonpb', 'yaml'] as const;
export type FlowFormat = (typeof FLOW_FORMATS)[number];

export interface PrinterOptions extends TextOptions {
  readonly format: FlowFormat;
  readonly timeFormat: TimeFormat;
  readonly showsNode: boolean;
  /** Nothing to standard error. */
  readonly isSilent: boolean;
}

const SEPARATOR = '------------';
/** A table is aligned over so many rows; then the next begins. */
const TABLE_ROWS_MAX = 50_000;
const NODES_CHARACTERS = 50;

export class FlowPrinter {
  private readonly io: Io;
  private readonly options: PrinterOptions;
  private rows: string[][] = [];
  private isFirst = true;

  constructor(io: Io, options: PrinterOptions) {
    this.io = io;
    this.options = options;
  }

  print(response: GetFlowsResponse): void {
    switch (response.responseTypes?.$case) {
      case 'flow':
        this.flow(response, response.responseTypes.value);
        break;
      case 'lostEvents':
        this.lost(response, response.responseTypes.value);
        break;
      case 'nodeStatus':
        this.nodeStatus(response, response.responseTypes.value);
        break;
      case undefined:
        break;
    }
  }

  /** To standard error, unless that is switched off. */
  say(text: string): void {
    if (!this.options.isSilent) this.io.err(`${text}\n`);
  }

  /** What is held back for the sake of alignment. */
  end(): void {
    if (this.rows.length === 0) return;
    const node = this.options.showsNode ? ['NODE'] : [];
    this.io.out(columns([['TIMESTAMP', ...node, 'SOURCE', 'DESTINATION', 'TYPE', 'VERDICT', 'SUMMARY'], ...this.rows]));
    this.rows = [];
  }

  private flow(response: GetFlowsResponse, flow: Flow): void {
    switch (this.options.format) {
      case 'compact':
        this.io.out(this.compact(flow));
        break;
      case 'dict':
        this.io.out(this.dict(flow));
        break;
      case 'tab':
      case 'table':
        this.rows.push(this.cells(flow));
        if (this.rows.length >= TABLE_ROWS_MAX) this.end();
        break;
      default:
        this.json(response);
    }
    this.isFirst = false;
  }

  private json(response: GetFlowsResponse): void {
    this.io.out(this.options.format === 'yaml' ? `---\n${stringify(flowJson(response), { aliasDuplicateObjects: false })}` : flowJsonLine(response));
  }

  private compact(flow: Flow): string {
    const { options } = this;
    const node = options.showsNode ? ` [${printable(flow.nodeName)}]` : '';
    const ends = (['source', 'destination'] as const).map((end) => `${hostText(flow, end, options)} ${identityText(flow, end, options)}`);
    const arrow = flow.isReply === undefined ? '<>' : flow.isReply ? '<-' : '->';
    const [here, there] = flow.isReply === true ? ends.reverse() : ends;
    return `${this.time(flow)}${node}: ${here} ${arrow} ${there} ${typeText(flow)} ${verdictText(flow, options)} (${summaryText(flow)})\n`;
  }

  private dict(flow: Flow): string {
    const rows: [string, string][] = [['TIMESTAMP', this.time(flow)]];
    if (this.options.showsNode) rows.push(['NODE', printable(flow.nodeName)]);
    rows.push(
      ['SOURCE', hostText(flow, 'source', this.options)], ['DESTINATION', hostText(flow, 'destination', this.options)],
      ['TYPE', typeText(flow)], ['VERDICT', verdictText(flow, this.options)], ['SUMMARY', summaryText(flow)],
    );
    return this.separated(rows);
  }

  private cells(flow: Flow): string[] {
    const node = this.options.showsNode ? [flow.nodeName] : [];
    return [
      this.time(flow), ...node, hostText(flow, 'source', this.options), hostText(flow, 'destination', this.options), typeText(flow),
      verdictText(flow, this.options), summaryText(flow),
    ];
  }

  private time(flow: Flow): string {
    return timeText(flow.time, this.options.timeFormat);
  }

  private separated(rows: readonly (readonly [string, string])[]): string {
    const separator = this.isFirst ? '' : `${SEPARATOR}\n`;
    this.isFirst = false;
    return separator + rows.map(([title, value]) => `${title.padStart('DESTINATION'.length)}: ${value}\n`).join('');
  }

  /** A program that reads JSON must learn of it, too: there it stands among the flows. */
  private lost(response: GetFlowsResponse, { source, cpu, numEventsLost }: flowPb.LostEvent): void {
    if (this.isMachineReadable) this.json(response);
    else this.say(`EVENTS LOST: ${flowPb.lostEventSourceToJSON(source)} CPU(${cpu ?? 0}) ${numEventsLost}`);
  }

  private nodeStatus(response: GetFlowsResponse, { stateChange, nodeNames, message }: relayPb.NodeStatusEvent): void {
    if (this.options.format === 'json' || this.options.format === 'jsonpb') {
      this.say(flowJsonLine(response).trimEnd());
      return;
    }
    const nodes = `${nodeNames.length} nodes`;
    const names = joined(nodeNames.map(printable));
    const prefix = `${timeText(response.time, this.options.timeFormat)} [${printable(response.nodeName)}]:`;
    switch (stateChange) {
      case NodeState.NODE_CONNECTED:
        this.say(`${prefix} Receiving flows from ${nodes}: ${names}`);
        break;
      case NodeState.NODE_UNAVAILABLE:
        this.say(`${prefix} ${nodes} are unavailable: ${names}`);
        break;
      case NodeState.NODE_GONE:
        this.say(`${prefix} ${nodes} removed from cluster: ${names}`);
        break;
      default:
        this.say(`${prefix} Error ${JSON.stringify(message)} on ${nodes}: ${names}`);
    }
  }

  private get isMachineReadable(): boolean {
    const { format } = this.options;
    return format === 'json' || format === 'jsonpb' || format === 'yaml';
  }
}

function joined(names: readonly string[]): string {
  let text = '';
  for (const [i, name] of names.entries()) {
    if (i > 0 && text.length + name.length > NODES_CHARACTERS) return `${text} (and ${names.length - i} more)`;
    text += i === 0 ? name : `, ${name}`;
  }
  return text;
}

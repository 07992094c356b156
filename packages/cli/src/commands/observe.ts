/** `tandem observe`: the flows of both members, live or of a while ago, as Hubble's client shows them, also while one member is dead. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { stringify } from 'yaml';
import { AppError, type Role } from '@tandem/core';
import { FlowFilter, type GetFlowsRequest, type GetFlowsResponse } from '@tandem/proto';
import { ROLES } from '../client.js';
import { COLOUR_CHOICES, type ColourChoice, coloursFor } from '../colours.js';
import { memberCommand, targetOf, type CommonOptions } from '../common-options.js';
import type { Io } from '../io.js';
import { FILTER_FLAGS } from '../observe/filter-flags.js';
import { FlowFilters } from '../observe/flow-filters.js';
import { flowsOfFile } from '../observe/flow-file.js';
import { FLOW_FORMATS, type FlowFormat, FlowPrinter } from '../observe/flow-printer.js';
import { flowRequest, LAST_DEFAULT, type Selection } from '../observe/flow-request.js';
import { type FlowServer, memberServer, namedServer, type TlsOptions } from '../observe/flow-server.js';
import { flowsOf } from '../observe/flow-stream.js';
import { TIME_FORMATS, type TimeFormat } from '../observe/flow-time.js';

interface Options extends Selection, TlsOptions {
  readonly output: FlowFormat;
  readonly member?: Role;
  readonly runDir?: string;
  readonly server?: string;
  readonly timeFormat: TimeFormat;
  readonly ipTranslation: boolean;
  readonly numeric?: boolean;
  readonly printNodeName?: boolean;
  readonly color: ColourChoice;
  readonly silentErrors?: boolean;
  readonly inputFile?: string;
  readonly printRawFilters?: boolean;
}

const UINT64_MAX = 18_446_744_073_709_551_615n;

export function observeCommand(io: Io): Command {
  const command = memberCommand('observe', 'Show who asked what, what was decided, and what was answered: the flows of both members.', [
    'tandem observe', 'tandem observe -f --pod shop/web', 'tandem observe --verdict DROPPED --since 10m', "tandem observe --dns-query '[.]shop[.]example[.]$' -o json",
    'tandem observe --from-pod shop/web --not --port 53 --last 100', 'tandem observe --server 192.0.2.7:4245 --tls --tls-ca-cert-files ca.pem',
    'tandem observe --all -o jsonpb > flows.json && tandem observe --input-file flows.json -o dict',
  ], FLOW_FORMATS);
  selectionOptions(command);
  const filters = filterOptions(command);
  printingOptions(command);
  serverOptions(command);
  return command.action(async (options: Options) => {
    const request = flowRequest(options, filters, Date.now());
    if (options.printRawFilters === true) {
      io.out(rawFilters(request));
      return;
    }
    await observe(io, request, options);
  });
}

async function observe(io: Io, request: GetFlowsRequest, options: Options): Promise<void> {
  const { output } = options;
  const isTable = output === 'tab' || output === 'table';
  if (isTable && request.follow) throw new AppError('USAGE', 'a table is aligned when all of it is there: -o table cannot follow');
  const printer = new FlowPrinter(io, {
    format: output, timeFormat: options.timeFormat, showsNode: options.printNodeName === true, isSilent: options.silentErrors === true,
    translatesIps: options.ipTranslation && options.numeric !== true, colours: coloursFor(io, isTable ? 'never' : options.color),
  });
  await io.untilInterrupted(async (signal) => {
    try {
      for await (const response of sourceOf(io, request, options, { signal, say: (text) => { printer.say(text); } })) {
        printer.print(response);
        await io.drained();
        if (signal.aborted) break;
      }
    } finally {
      printer.end();
    }
  });
}

interface Watcher {
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

function sourceOf(io: Io, request: GetFlowsRequest, options: Options, { signal, say }: Watcher): AsyncIterable<GetFlowsResponse> {
  if (options.inputFile !== undefined) {
    if (request.whitelist.length > 0 || request.blacklist.length > 0) throw new AppError('USAGE', 'filters are applied by a member, and --input-file asks none');
    return flowsOfFile(io, options.inputFile);
  }
  return flowsOf({
    servers: serversOf(io, options), request, resumes: options.server === undefined, signal,
    onNotice: (text) => { say(`tandem: ${text}`); },
  });
}

/** Both members serve the flows of both: whichever answers, unless one is named. */
export function serversOf(io: Io, options: Pick<Options, 'member' | 'runDir' | 'server'> & TlsOptions): readonly FlowServer[] {
  if (options.server !== undefined) return [namedServer(options.server, options)];
  const { runDir, member } = targetOf(options as CommonOptions, io.env);
  return (member === null ? ROLES : [member]).map((role) => memberServer(runDir, role));
}

function selectionOptions(command: Command): void {
  command
    .option('--last <N>', `the last N flows (default: ${LAST_DEFAULT})`, parseCount)
    .option('--first <N>', 'the first N flows', parseCount)
    .option('--all', 'all flows that are there')
    .option('--since <TIME>', 'since then: a duration before now (3s, 4m, 1h43m, 2d), or a time in one of the formats of --time-format, UTC')
    .option('--until <TIME>', 'until then; not looked at with --follow')
    .option('-f, --follow', 'go on with new flows until Ctrl-C');
}

function filterOptions(command: Command): FlowFilters {
  const filters = new FlowFilters();
  command
    .optionsGroup('Filters (a flow matches one value of each flag that is given):')
    .option('--not', 'leave out what the next filter matches')
    .on('option:not', () => { filters.negateNext(); });
  for (const flag of FILTER_FLAGS) {
    const option = new Option(flag.flags, flag.why);
    const name = option.name();
    if (flag.choices !== undefined) option.choices(flag.choices);
    // What is given is kept in the order in which it is given: --not speaks of the next.
    if (option.required) {
      const check = option.parseArg;
      option.argParser((text: string) => {
        check?.(text, undefined);
        filters.add(name, flag, text);
        return text;
      });
    }
    command.addOption(option);
    if (!option.required) command.on(`option:${name}`, () => { filters.add(name, flag, ''); });
  }
  command
    .option('--allowlist <JSON>', 'a FlowFilter as JSON; may be repeated', collect)
    .option('--denylist <JSON>', 'a FlowFilter as JSON whose flows are left out; may be repeated', collect)
    .option('--print-raw-filters', 'print the filters as --allowlist and --denylist take them, and ask nobody');
  return filters;
}

function printingOptions(command: Command): void {
  command
    .optionsGroup('How to print:')
    .addOption(new Option('--time-format <FORMAT>', 'of times; JSON has its own').choices(TIME_FORMATS).default('StampMilli'))
    .option('--no-ip-translation', 'addresses instead of names of pods, Services and DNS')
    .addOption(new Option('--ip-translation [BOOLEAN]', 'false: addresses instead of names').argParser((text: string) => text !== 'false').default(true).hideHelp())
    .option('--numeric', 'the same')
    .option('--print-node-name', 'the node, too')
    .addOption(new Option('--color <WHEN>', 'colours').choices(COLOUR_CHOICES).default('auto'))
    .option('-s, --silent-errors', 'nothing about lost flows and members that come and go')
    .option('--input-file <FILE>', 'print flows from a file that -o json made; - is standard input');
}

function serverOptions(command: Command): void {
  command
    .optionsGroup('Where flows come from (default: the members in the run-dir):')
    .option('--server <ADDR:PORT|unix:PATH>', 'any server of the Hubble Observer API')
    .option('--tls', 'by TLS')
    .option('--tls-ca-cert-files <FILE>', 'PEM; may be repeated', collect)
    .option('--tls-client-cert-file <FILE>', 'PEM')
    .option('--tls-client-key-file <FILE>', 'PEM')
    .option('--tls-server-name <NAME>', 'the name that must be in its certificate');
}

function rawFilters({ whitelist, blacklist }: GetFlowsRequest): string {
  const texts = (filters: readonly FlowFilter[]): string[] => filters.map((filter) => JSON.stringify(FlowFilter.toJSON(filter)));
  return stringify({
    ...(whitelist.length === 0 ? {} : { allowlist: texts(whitelist) }), ...(blacklist.length === 0 ? {} : { denylist: texts(blacklist) }),
  }, { lineWidth: 0 });
}

export function parseCount(text: string): bigint {
  if (!/^[0-9]{1,20}$/.test(text) || BigInt(text) === 0n || BigInt(text) > UINT64_MAX) throw new InvalidArgumentError('a number of flows is expected, 1 or more.');
  return BigInt(text);
}

function collect(text: string, texts: readonly string[] | undefined): string[] {
  return [...(texts ?? []), text];
}

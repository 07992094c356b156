/**
 * Scripted runs: what is done to a pair and, below a line of dashes, what then happens, for people to read.
 *
 * One command per line, `word key=value …`; `#` begins a comment. Time passes by `run` and by commands that wait. The pair
 * is up and redundant when a story begins, unless its first command is `options`.
 */
import type { Role } from '@tandem/core';
import { TYPE } from '@tandem/dns';
import { withoutAmbience } from '../base/ambient.js';
import { BrokenPromise } from '../base/failure.js';
import type { DatapathMode } from '../models/datapath.js';
import type { Flow, Query } from '../models/datagram.js';
import { HONEST, LYING, type Manners, SILENT, SLOW } from '../models/upstream.js';
import { Clients, flowOf } from '../run/clients.js';
import { NAMES, PODS } from '../run/policies.js';
import { defaults, ROLES, World } from '../run/world.js';
import { Narrator } from './narrator.js';

export const SEPARATOR = '----';
const STORY_SEED = 1;
const SETTLE_MS_MAX = 8000;
const HASHES = 64;
const FIRST_FLOW = 1000;
const LOAD_QUERIES = 100;
const LOAD_FLOWS = 2 * PODS;
const LOAD_NAMES = 40;

const MANNERS: Readonly<Record<string, Manners>> = {
  honest: HONEST,
  answers: { answer: 1 },
  silent: SILENT,
  slow: SLOW,
  lies: LYING,
  'forged-id': { 'forged-id': 1 },
  'off-chain': { 'off-chain': 1 },
};

type Arguments = ReadonlyMap<string, string>;

/** The transcript of a story's commands. @throws Error naming the line that is wrong. */
export function tellStory(text: string): string[] {
  const commands = commandsOf(text);
  return withoutAmbience(() => new Teller(commands).tell());
}

interface Command {
  readonly line: number;
  readonly text: string;
  readonly words: readonly string[];
  readonly arguments: Arguments;
}

function commandsOf(text: string): Command[] {
  return text.split('\n').flatMap((raw, index) => {
    const line = raw.replace(/#.*$/, '').trim();
    if (line === '') return [];
    const parts = line.split(/\s+/);
    const words = parts.filter((part) => !part.includes('='));
    const pairs = parts.filter((part) => part.includes('=')).map((part): [string, string] => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]);
    return [{ line: index + 1, text: line, words, arguments: new Map(pairs) }];
  });
}

class Teller {
  private readonly commands: readonly Command[];
  private readonly narrator: Narrator;
  private readonly world: World;
  private readonly clients: Clients;
  private flows = FIRST_FLOW;
  /** By `load`. */
  private readonly asked: Query[] = [];

  constructor(commands: readonly Command[]) {
    const first = commands[0]?.words[0] === 'options' ? commands[0].arguments : new Map<string, string>();
    this.commands = commands;
    this.narrator = new Narrator();
    this.world = new World({
      ...defaults(STORY_SEED),
      datapath: (first.get('datapath') ?? 'none') as DatapathMode,
      onEvent: (timeMs, event, a, b, c) => this.narrator.hear(timeMs, event, [a, b, c]),
    });
    this.clients = new Clients(this.world);
    this.world.upstream.manners = MANNERS.answers;
    if (first.get('source') === 'away') this.world.isSourceThere = false;
  }

  tell(): string[] {
    const { world, narrator } = this;
    for (const role of ROLES) world.start(role);
    this.settle();
    narrator.begin(world.queue.nowMs);
    for (const command of this.commands) {
      try {
        this.do(command);
      } catch (error) {
        if (error instanceof BrokenPromise) {
          narrator.say(`BROKEN: ${error.message}`);
          break;
        }
        throw new Error(`line ${command.line}: ${command.text}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
    }
    return narrator.lines;
  }

  private do({ words, arguments: given, text }: Command): void {
    const { world, narrator } = this;
    const [verb, subject = ''] = words;
    if (verb !== 'options') narrator.command(text, world.queue.nowMs);
    switch (verb) {
      case 'options':
        break;
      case 'query':
        this.query(given);
        break;
      case 'load':
        this.load(given);
        break;
      case 'sum':
        this.sum();
        break;
      case 'run':
        world.run(world.queue.nowMs + durationMs(subject));
        break;
      case 'settle':
        this.settle();
        break;
      case 'kill':
      case 'pause':
      case 'resume':
      case 'start':
      case 'drain':
        world[verb](roleOf(subject));
        break;
      case 'starve':
      case 'feed':
        world.member(roleOf(subject))!.process.isStarved = verb === 'starve';
        break;
      case 'cut':
      case 'heal':
        world.link[verb]();
        break;
      case 'publish':
        world.publish(Number(given.get('revision')));
        break;
      case 'source':
        world.isSourceThere = subject === 'back';
        if (world.isSourceThere) world.member('agent')?.sourceChanged();
        break;
      case 'upstream':
        world.upstream.manners = known(MANNERS, subject);
        break;
      case 'disk':
        this.disk(roleOf(subject), words[2]);
        break;
      case 'clean':
        world.member(roleOf(subject))!.clean(given.get('name') ?? null, null);
        break;
      case 'mappings':
        for (const role of ROLES) this.mappings(role);
        break;
      default:
        throw new Error('there is no such command');
    }
  }

  /** Until both serve, hold each other, are linked and have no news for each other. */
  private settle(): void {
    const { world } = this;
    const untilMs = world.queue.nowMs + SETTLE_MS_MAX;
    const isSettled = (): boolean => world.isRedundant && ROLES.every((role) => world.member(role)?.isLinked === true && world.member(role)!.lag === 0);
    while (!isSettled() && world.queue.nowMs < untilMs) world.run(world.queue.nowMs + 1);
    if (!isSettled()) this.narrator.say('the pair is not redundant');
  }

  private query(given: Arguments): void {
    const pod = given.get('client') === 'stranger' ? -1 : Number((given.get('client') ?? 'pod-0').slice('pod-'.length));
    if (!(pod >= -1 && pod < PODS)) throw new Error(`clients are stranger and pod-0 to pod-${PODS - 1}`);
    const name = NAMES.findIndex(({ text }) => text === given.get('name'));
    if (name < 0) throw new Error('there is no such name');
    const via = given.get('via');
    const flow = this.flow(pod, via === undefined ? null : roleOf(via));
    this.clients.ask(flow, name, TYPE.A);
  }

  /** A flow that the kernel hands to this member's socket. */
  private flow(pod: number, via: Role | null): Flow {
    const number = this.flows++;
    const socket = via === null ? null : this.world.member(via)?.plane?.reactor.listeners[0]?.socket ?? null;
    for (let i = 0; i < HASHES; i++) {
      const hash = (i * 0x1_0000_0000) / HASHES;
      if (socket === null || this.world.kernel.chosen(hash) === socket) return flowOf(this.flows, pod, hash);
    }
    throw new Error(`no flow goes to ${via} (flow ${number})`);
  }

  /** Many questions, told by `sum` only. */
  private load(given: Arguments): void {
    const { world, narrator, clients, asked } = this;
    const count = Number(given.get('queries') ?? LOAD_QUERIES);
    const overMs = durationMs(given.get('over') ?? '1s');
    for (let i = 0; i < count; i++) {
      world.queue.after((overMs * i) / count, () => {
        asked.push(narrator.quietly(() => clients.ask(clients.flows[i % LOAD_FLOWS], i % LOAD_NAMES, TYPE.A)));
      });
    }
  }

  private sum(): void {
    const { asked } = this;
    const answered = asked.filter(({ answers }) => answers > 0).length;
    const twice = asked.filter(({ answers }) => answers > 1).length;
    this.narrator.say(`${asked.length} queries: ${answered} answered, ${asked.length - answered} not, ${twice} twice`);
  }

  private disk(role: Role, state: string | undefined): void {
    const disk = this.world.diskOf(role);
    if (state === 'lost') disk.lose();
    else if (state === 'full' || state === 'ok') disk.isFull = state === 'full';
    else throw new Error('a disk is full, ok or lost');
  }

  private mappings(role: Role): void {
    const control = this.world.member(role);
    const known = control === null ? [] : [...control.cache.mappings()].map(({ endpointUid, name, address }) => `${endpointUid} ${name} ${address}`).sort();
    this.narrator.say(`${role} knows ${known.length === 0 ? 'no mapping' : known.join(', ')}`);
  }
}

function roleOf(text: string): Role {
  if (text === 'agent' || text === 'dns-proxy') return text;
  throw new Error(`"${text}" is no member: agent or dns-proxy`);
}

function durationMs(text: string): number {
  const match = /^([0-9.]+)(ms|s)$/.exec(text);
  if (match === null) throw new Error(`"${text}" is no duration: 50ms, 2s`);
  return Number(match[1]) * (match[2] === 's' ? 1000 : 1);
}

function known<T>(table: Readonly<Record<string, T>>, name: string): T {
  if (Object.hasOwn(table, name)) return table[name];
  throw new Error(`"${name}" is none of ${Object.keys(table).join(', ')}`);
}

/**
 * The log of a daemon: core's `Log` over pino, one line per event on standard error (`log-output.ts`). Whoever reads it gets no
 * control characters from a query's name: values are escaped in both forms.
 */
import { AppError, type Log, type Role } from '@tandem/core';
import { pino, type DestinationStream } from 'pino';
import { LogOutput } from './log-output.js';

export interface LogOptions {
  readonly role: Role;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly format: 'json' | 'text';
  /** Where lines go; absent: standard error. */
  readonly destination?: DestinationStream;
}

const STANDARD_ERROR_FD = 2;

export interface DaemonLog extends Log {
  /** Writes out what waits; before an exit. */
  flush(): void;
  /** After SIGHUP. */
  setLevel(level: LogOptions['level']): void;
}

export function createLog(options: LogOptions): DaemonLog {
  const output = options.destination === undefined
    ? new LogOutput(STANDARD_ERROR_FD, (lines) => { logger.warn({ lines }, 'log lines were dropped: they could not be written for a while'); })
    : null;
  const destination = output ?? options.destination!;
  const stream = options.format === 'json' ? destination : { write: (line: string) => { destination.write(textLine(line)); } };
  const logger = pino({
    level: options.level,
    base: { role: options.role },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'message',
    formatters: { level: (label) => ({ level: label }) },
    serializers: { error: describeError },
  }, stream);
  return {
    debug: (message, fields) => { logger.debug(fields ?? {}, message); },
    info: (message, fields) => { logger.info(fields ?? {}, message); },
    warn: (message, fields) => { logger.warn(fields ?? {}, message); },
    error: (message, fields) => { logger.error(fields ?? {}, message); },
    flush: () => { output?.flush(); },
    setLevel: (level) => { logger.level = level; },
  };
}

/** Fields for an error that nobody handles: its code, and of a fault of ours the stack, too. */
export function faultFields(error: unknown): Readonly<Record<string, unknown>> {
  return error instanceof AppError ? { code: error.code, reason: error.message } : { code: 'INTERNAL', error };
}

/** Own keys first, then the event's in their order: `TIME LEVEL role: message key=value …`. */
function textLine(json: string): string {
  const { level, time, role, message, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${textValue(value)}`).join('');
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(role)}: ${oneLine(String(message))}${rest}\n`;
}

function textValue(value: unknown): string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value) && !value.includes('"') ? value : JSON.stringify(value);
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = 'code' in error ? { code: error.code } : {};
  const errors = error instanceof AggregateError ? { errors: error.errors.map(describeError) } : {};
  return { ...code, message: error.message, stack: error.stack, ...errors };
}

/**
 * A worker's log: lines of JSON in the worker's own file, and the last lines of each event in memory, which are kept
 * with a failure. `console` and direct writes to stdout or stderr of a payload end here too: stdout carries results.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
// Not the global one: a payload may remove that.
import process from 'node:process';
import { format } from 'node:util';
import { withoutSecrets } from '../../core/address-secrets.ts';
import { LOG_LINE_CHARS_MAX, LOG_TAIL_BYTES, LOG_TAIL_LINES } from '../../core/limits.ts';
import type { LogLevel } from '../../core/log.ts';
import { type LineLevel, LineLog } from './line-log.ts';

/** Name of the file in a worker's folder. */
export const WORKER_LOG_NAME = 'worker.log';

export class WorkerLog extends LineLog {
  readonly #fd: number;
  #tail: string[] = [];
  #eventRangeID: (() => string) | undefined;

  constructor(path: string, level: LogLevel) {
    super(level);
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, 'a');
    // Whoever reads the end of the log must not take an earlier session's words for this one's.
    this.#write({ time: new Date().toISOString(), level: 'info', msg: 'session begins', pid: process.pid });
  }

  /**
   * Begins the tail of another range.
   *
   * @param eventRangeID asked for when a line is written
   */
  beginRange(eventRangeID: () => string): void {
    this.#eventRangeID = eventRangeID;
    if (this.#tail.length > 0) this.#tail = [];
  }

  /** The last lines since `beginRange`, oldest first. */
  tail(): readonly string[] {
    return this.#tail;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** From now on this thread's `console`, stdout and stderr write to the log. */
  captureConsole(): void {
    const levels = { log: 'info', info: 'info', debug: 'debug', trace: 'debug', warn: 'warn', error: 'error' } as const;
    for (const [method, level] of Object.entries(levels)) {
      Object.assign(console, { [method]: (...values: unknown[]) => this.line(level, format(...values), undefined) });
    }
    const capture =
      (level: LineLevel) =>
      (chunk: unknown, ...rest: unknown[]): boolean => {
        const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8');
        for (const line of text.split('\n')) if (line !== '') this.line(level, line, undefined);
        const callback = rest.find((value) => typeof value === 'function') as (() => void) | undefined;
        callback?.();
        return true;
      };
    for (const [stream, level] of [
      [process.stdout, 'info'],
      [process.stderr, 'error'],
    ] as const) {
      const write = capture(level);
      // It stays open: others of this thread write there, too.
      const end = (last?: unknown, ...rest: unknown[]): typeof stream => {
        if (typeof last === 'function') last();
        else write(last ?? '', ...rest);
        return stream;
      };
      Object.assign(stream, { write, end });
    }
  }

  protected line(level: LineLevel, message: string, fields: object | undefined): void {
    const text = message.length > LOG_LINE_CHARS_MAX ? `${message.slice(0, LOG_LINE_CHARS_MAX)}…` : message;
    this.#tail.push(withoutSecrets(`${level}: ${text}${fields === undefined ? '' : ` ${safeJson(fields)}`}`));
    if (this.#tail.length > LOG_TAIL_LINES) this.#tail.shift();
    if (!this.isWanted(level)) return;
    this.#write({ time: new Date().toISOString(), level, eventRangeID: this.#eventRangeID?.(), ...fields, msg: text });
  }

  #write(record: object): void {
    try {
      writeSync(this.#fd, withoutSecrets(`${safeJson(record)}\n`));
    } catch {
      // A full disk must not fail the event: the tail is still kept with its failure.
    }
  }
}

/**
 * The last lines that a worker which is gone had logged for one event, oldest first: its own and, after them, what native
 * code printed.
 */
export function logTailOf(path: string, eventRangeID: string): string[] {
  const tail: string[] = [];
  for (const line of lastLines(path, 0)) {
    const record = parseRecord(line);
    if (record === undefined) tail.push(line.slice(0, LOG_LINE_CHARS_MAX));
    else if (record.eventRangeID === eventRangeID) tail.push(`${record.level}: ${record.msg}`);
    else tail.length = 0;
  }
  return tail.slice(-LOG_TAIL_LINES);
}

/** A process that reached its heap limit says so before it aborts. @param fromBytes where its part of the log begins */
export function tellsOfHeapLimit(path: string, fromBytes: number): boolean {
  return lastLines(path, fromBytes).some(isHeapLimitNotice);
}

/** Whether V8 says in this text that the process has reached its heap limit. */
export function isHeapLimitNotice(text: string): boolean {
  return /heap out of memory|Reached heap limit/.test(text);
}

/** Complete lines of the last `LOG_TAIL_BYTES`. */
function lastLines(path: string, fromBytes: number): string[] {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return [];
  }
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(fromBytes, size - LOG_TAIL_BYTES, 0);
    const bytes = Buffer.alloc(Math.max(0, size - start));
    const length = readSync(fd, bytes, 0, bytes.length, start);
    const lines = bytes.subarray(0, length).toString('utf8').split('\n');
    if (start > fromBytes) lines.shift();
    return lines.filter((line) => line !== '');
  } finally {
    closeSync(fd);
  }
}

function parseRecord(
  line: string,
): { readonly eventRangeID?: string; readonly level: string; readonly msg: string } | undefined {
  if (!line.startsWith('{"time":')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function safeJson(value: object): string {
  try {
    return JSON.stringify(value).slice(0, 2 * LOG_LINE_CHARS_MAX);
  } catch {
    return '{"unprintable":true}';
  }
}

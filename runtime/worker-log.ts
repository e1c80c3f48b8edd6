/**
 * A worker's log: lines of JSON in the worker's own file, and the last lines of each event in memory, which are kept
 * with a failure. `console` and direct writes to stdout or stderr of a payload end here too: stdout carries results.
 */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { format } from 'node:util';
import { LOG_LINE_CHARS_MAX, LOG_TAIL_LINES } from '../core/limits.ts';
import type { LogLevel } from '../core/log.ts';
import type { PayloadLog } from '../payloads/payload.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof LEVELS)[number];

export class WorkerLog implements PayloadLog {
  readonly #fd: number;
  readonly #threshold: number;
  #tail: string[] = [];
  #eventRangeID: string | undefined;

  constructor(path: string, level: LogLevel) {
    mkdirSync(dirname(path), { recursive: true });
    this.#fd = openSync(path, 'a');
    const index = LEVELS.indexOf(level as Level);
    this.#threshold = level === 'silent' ? LEVELS.length : Math.max(0, index);
  }

  /** Begins the tail of another event. */
  beginEvent(eventRangeID: string | undefined): void {
    this.#eventRangeID = eventRangeID;
    if (this.#tail.length > 0) this.#tail = [];
  }

  /** The last lines since `beginEvent`, oldest first. */
  tail(): readonly string[] {
    return this.#tail;
  }

  debug(message: string, fields?: object): void {
    this.#line('debug', message, fields);
  }

  info(message: string, fields?: object): void {
    this.#line('info', message, fields);
  }

  warn(message: string, fields?: object): void {
    this.#line('warn', message, fields);
  }

  error(message: string, fields?: object): void {
    this.#line('error', message, fields);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** From now on this thread's `console`, stdout and stderr write to the log. */
  captureConsole(): void {
    const levels = { log: 'info', info: 'info', debug: 'debug', trace: 'debug', warn: 'warn', error: 'error' } as const;
    for (const [method, level] of Object.entries(levels)) {
      Object.assign(console, { [method]: (...values: unknown[]) => this.#line(level, format(...values), undefined) });
    }
    const capture =
      (level: Level) =>
      (chunk: unknown, ...rest: unknown[]): boolean => {
        const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8');
        for (const line of text.split('\n')) if (line !== '') this.#line(level, line, undefined);
        const callback = rest.find((value) => typeof value === 'function') as (() => void) | undefined;
        callback?.();
        return true;
      };
    Object.assign(process.stdout, { write: capture('info') });
    Object.assign(process.stderr, { write: capture('error') });
  }

  #line(level: Level, message: string, fields: object | undefined): void {
    const text = message.length > LOG_LINE_CHARS_MAX ? `${message.slice(0, LOG_LINE_CHARS_MAX)}…` : message;
    this.#tail.push(fields === undefined ? `${level}: ${text}` : `${level}: ${text} ${safeJson(fields)}`);
    if (this.#tail.length > LOG_TAIL_LINES) this.#tail.shift();
    if (LEVELS.indexOf(level) < this.#threshold) return;
    const record = { time: new Date().toISOString(), level, eventRangeID: this.#eventRangeID, ...fields, msg: text };
    try {
      writeSync(this.#fd, `${safeJson(record)}\n`);
    } catch {
      // A full disk must not fail the event: the tail is still kept with its failure.
    }
  }
}

function safeJson(value: object): string {
  try {
    return JSON.stringify(value).slice(0, 2 * LOG_LINE_CHARS_MAX);
  } catch {
    return '{"unprintable":true}';
  }
}

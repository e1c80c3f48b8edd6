/** The log of an event that is executed in the foreground: lines on stderr, at once. Nothing is kept: they have been read. */
import { writeSync } from 'node:fs';
import type { LogLevel } from '../../core/log.ts';
import type { SessionLog } from '../worker-session.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type Level = (typeof LEVELS)[number];

const STDERR = 2;

export class ForegroundLog implements SessionLog {
  readonly #threshold: number;

  constructor(level: LogLevel) {
    this.#threshold = level === 'silent' ? LEVELS.length : Math.max(0, LEVELS.indexOf(level as Level));
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

  beginRange(): void {
    // There is one range, of one event.
  }

  tail(): readonly string[] {
    return [];
  }

  #line(level: Level, message: string, fields: object | undefined): void {
    if (LEVELS.indexOf(level) < this.#threshold) return;
    writeSync(STDERR, `${level}: ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields)}`}\n`);
  }
}

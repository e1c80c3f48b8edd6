/** What a payload logs to: four levels and a threshold. What becomes of a line is for the log at hand to say. */
import type { LogLevel } from '../../core/log.ts';
import type { PayloadLog } from '../../payloads/payload.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LineLevel = (typeof LEVELS)[number];

export abstract class LineLog implements PayloadLog {
  readonly #threshold: number;

  constructor(level: LogLevel) {
    this.#threshold = level === 'silent' ? LEVELS.length : Math.max(0, LEVELS.indexOf(level as LineLevel));
  }

  debug(message: string, fields?: object): void {
    this.line('debug', message, fields);
  }

  info(message: string, fields?: object): void {
    this.line('info', message, fields);
  }

  warn(message: string, fields?: object): void {
    this.line('warn', message, fields);
  }

  error(message: string, fields?: object): void {
    this.line('error', message, fields);
  }

  protected isWanted(level: LineLevel): boolean {
    return LEVELS.indexOf(level) >= this.#threshold;
  }

  /** Every line, wanted or not. */
  protected abstract line(level: LineLevel, message: string, fields: object | undefined): void;
}

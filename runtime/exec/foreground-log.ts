/** The log of an event that is executed in the foreground: lines on stderr, at once. Nothing is kept: they have been read. */
import { writeSync } from 'node:fs';
import type { SessionLog } from '../worker/batch-execution.ts';
import { type LineLevel, LineLog } from '../worker/line-log.ts';

const STDERR = 2;

export class ForegroundLog extends LineLog implements SessionLog {
  beginRange(): void {
    // There is one range, of one event.
  }

  tail(): readonly string[] {
    return [];
  }

  protected line(level: LineLevel, message: string, fields: object | undefined): void {
    if (!this.isWanted(level)) return;
    writeSync(STDERR, `${level}: ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields)}`}\n`);
  }
}

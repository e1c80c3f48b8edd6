/** What a command sees of its process: arguments apart, everything it reads from or writes to. */
import type { Readable } from 'node:stream';
import { GranuleError } from '../../core/errors.ts';

/** Standard output: results only. */
export interface ResultOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  /**
   * Resolves when the text has been handed to the operating system.
   *
   * @returns false when the reader has gone away (`| head`): nothing more needs to be written
   * @throws OUTPUT_FAILED
   */
  write(text: string): Promise<boolean>;
}

/** Standard error: progress, notices, errors. Losing it stops nothing. */
export interface NoticeOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  write(text: string): void;
}

export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** absolute */
  readonly currentFolder: string;
  readonly stdin: Readable;
  readonly results: ResultOutput;
  readonly notices: NoticeOutput;
}

export function processSurroundings(): Surroundings {
  return {
    environment: process.env,
    currentFolder: process.cwd(),
    get stdin() {
      return process.stdin;
    },
    results: resultsTo(process.stdout),
    notices: noticesTo(process.stderr),
  };
}

function resultsTo(stream: NodeJS.WriteStream): ResultOutput {
  // Each write hears of its own error; without a listener the stream's would end the program.
  stream.on('error', () => undefined);
  let readerIsGone = false;
  return {
    isTTY: stream.isTTY === true,
    columns: columnsOf(stream),
    write: (text) =>
      new Promise((resolve, reject) => {
        if (readerIsGone) return resolve(false);
        stream.write(text, (error) => {
          if (error === null || error === undefined) return resolve(true);
          readerIsGone = (error as NodeJS.ErrnoException).code === 'EPIPE';
          if (readerIsGone) resolve(false);
          else reject(unwritable(error));
        });
      }),
  };
}

/** Some terminals say 0 for "unknown". */
function columnsOf(stream: NodeJS.WriteStream): number {
  return stream.columns || 80;
}

function noticesTo(stream: NodeJS.WriteStream): NoticeOutput {
  stream.on('error', () => undefined); // a closed terminal: there is nobody to tell
  return {
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return columnsOf(stream);
    },
    write: (text) => {
      stream.write(text);
    },
  };
}

function unwritable(cause: Error): GranuleError {
  return new GranuleError('OUTPUT_FAILED', `the result cannot be written to standard output: ${cause.message}`, {
    remedy: 'free disk space where it is redirected to; the same command tells the result again',
    cause,
  });
}

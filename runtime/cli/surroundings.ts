/** What a command sees of its process: arguments apart, everything it reads from or writes to. */
import type { Readable } from 'node:stream';

/** Standard output: results only. */
export interface ResultOutput {
  readonly isTTY: boolean;
  readonly columns: number;
  /**
   * Resolves when the text has been handed to the operating system.
   *
   * @returns false when the reader has gone away (`| head`): nothing more needs to be written
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
  let readerIsGone = false;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    readerIsGone = true;
  });
  return {
    isTTY: stream.isTTY === true,
    columns: stream.columns ?? 80,
    write: (text) =>
      new Promise((resolve, reject) => {
        if (readerIsGone) return resolve(false);
        stream.write(text, (error) => {
          if (error === null || error === undefined) resolve(true);
          else if ((error as NodeJS.ErrnoException).code === 'EPIPE') resolve(false);
          else reject(error);
        });
      }),
  };
}

function noticesTo(stream: NodeJS.WriteStream): NoticeOutput {
  stream.on('error', () => undefined); // a closed terminal: there is nobody to tell
  return {
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns ?? 80;
    },
    write: (text) => {
      stream.write(text);
    },
  };
}

/** A task of piscina that writes one file. See `piscina-alone.ts`. */
import { threadId } from 'node:worker_threads';
import { SingleFileWriter } from './single-files.ts';

let writer: SingleFileWriter | undefined;

export interface FileTask {
  readonly folder: string;
  readonly index: number;
  readonly sizeBytes: number;
}

export default function writeFile({ folder, index, sizeBytes }: FileTask): void {
  writer ??= new SingleFileWriter(folder, `piscina-${threadId}`, sizeBytes);
  writer.write(index);
}

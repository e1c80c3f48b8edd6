/**
 * Keeps a payload off stdin, stdout and stderr of the process it runs in. Threads share file descriptors: a payload that
 * closed stdout would make the next file opened become stdout, and one that wrote to it by number would spoil the result
 * that is printed there. Runs in workers.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
// Not the global one: a payload may remove that.
import process from 'node:process';

/**
 * Closing one of them fails from now on in this thread, as an error of whoever tries. (In a process it would be what
 * native code prints to.)
 */
export function guardStandardDescriptors(): void {
  const { closeSync, close } = fs;
  const refusal = (): Error => new Error('a payload cannot close stdin, stdout or stderr: all workers share them');
  fs.closeSync = (fd: number): void => {
    if (isStandard(fd)) throw refusal();
    closeSync(fd);
  };
  fs.close = ((fd: number, callback?: fs.NoParamCallback): void => {
    if (isStandard(fd)) {
      if (callback !== undefined) process.nextTick(callback, refusal());
      return;
    }
    close(fd, callback);
  }) as typeof fs.close;
  syncBuiltinESMExports();
}

/** What is written to descriptors 1 and 2 by number goes where `process.stdout` and `process.stderr` go in this thread. */
export function divertStandardOutput(): void {
  const { write, writeSync, writev, writevSync } = fs;
  fs.writeSync = ((fd: number, data: Data, ...rest: unknown[]): number =>
    isOutput(fd)
      ? divert(fd, pieceOf(data, rest))
      : writeSync(fd, data as string, ...(rest as []))) as typeof fs.writeSync;
  fs.write = ((fd: number, data: Data, ...rest: unknown[]): void => {
    if (isOutput(fd)) answer(rest, divert(fd, pieceOf(data, rest)), data);
    else write(fd, data as string, ...(rest as [never]));
  }) as typeof fs.write;
  fs.writevSync = ((fd: number, pieces: readonly NodeJS.ArrayBufferView[], position?: number): number =>
    isOutput(fd) ? divert(fd, joined(pieces)) : writevSync(fd, pieces, position)) as typeof fs.writevSync;
  fs.writev = ((fd: number, pieces: readonly NodeJS.ArrayBufferView[], ...rest: unknown[]): void => {
    if (isOutput(fd)) answer(rest, divert(fd, joined(pieces)), pieces);
    else writev(fd, pieces, ...(rest as [never]));
  }) as typeof fs.writev;
  syncBuiltinESMExports();
}

type Data = string | NodeJS.ArrayBufferView;

function isStandard(fd: number): boolean {
  return fd >= 0 && fd <= 2;
}

function isOutput(fd: number): boolean {
  return fd === 1 || fd === 2;
}

function divert(fd: number, bytes: Uint8Array): number {
  (fd === 1 ? process.stdout : process.stderr).write(bytes);
  return bytes.length;
}

function viewOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function joined(pieces: readonly NodeJS.ArrayBufferView[]): Uint8Array {
  return Buffer.concat(pieces.map(viewOf));
}

/** After a buffer come offset and length, one by one or in an object; after a text position and encoding. */
function pieceOf(data: Data, rest: readonly unknown[]): Uint8Array {
  if (typeof data === 'string')
    return Buffer.from(data, typeof rest[1] === 'string' ? (rest[1] as BufferEncoding) : 'utf8');
  const [first, second] = rest;
  const { offset, length } =
    typeof first === 'object' && first !== null
      ? (first as { readonly offset?: unknown; readonly length?: unknown })
      : { offset: first, length: second };
  const start = typeof offset === 'number' ? offset : 0;
  const end = typeof length === 'number' ? start + length : data.byteLength;
  return viewOf(data).subarray(start, end);
}

/** As the real call would: later, with the number of bytes and what was given. */
function answer(rest: readonly unknown[], byteCount: number, given: unknown): void {
  const callback = rest.at(-1);
  if (typeof callback === 'function') process.nextTick(callback as () => void, null, byteCount, given);
}

/** Keeps stdin, stdout and stderr open whatever a payload does. Runs in workers. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/**
 * Threads share file descriptors: a payload that closed stdout would make the next file opened become stdout. In a
 * process it would be what native code prints to.
 */
export function guardStandardDescriptors(): void {
  const { closeSync, close } = fs;
  const isStandard = (fd: number): boolean => fd >= 0 && fd <= 2;
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

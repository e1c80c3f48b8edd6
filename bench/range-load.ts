/** Load on an HTTP server from a process of its own: byte ranges at random places, over several connections at once. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { GranuleError } from '../core/errors.ts';
import { builtModuleUrl } from '../core/own-files.ts';

export interface RangeLoad {
  readonly port: number;
  readonly path: string;
  readonly fileBytes: number;
  readonly rangeBytes: number;
  readonly connectionCount: number;
  /** all connections together */
  readonly requestCount: number;
}

export interface RangeLoadResult {
  readonly bodyBytes: number;
  readonly wallMs: number;
}

/** The client reads into one buffer per connection and looks at headers only, so that the server is the slower side. */
export async function measureRangeLoad(load: RangeLoad, signal: AbortSignal): Promise<RangeLoadResult> {
  const child = fork(fileURLToPath(builtModuleUrl('bench/range-load.child.ts')), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    return await new Promise<RangeLoadResult>((resolve, reject) => {
      child.once('error', reject);
      child.once('message', (result) => resolve(result as RangeLoadResult));
      child.once('exit', () => reject(new GranuleError('INTERNAL', 'the load ended without a result')));
      child.send(load);
    });
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
  }
}

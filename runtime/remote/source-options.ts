/** How the threads of a run ask servers: from the run's options and the environment it was started in. */
import type { DiskCacheOptions } from './disk-cache.ts';
import { REMOTE_DEFAULTS, type RemoteOptions, remoteOptionsFromEnvironment } from './remote-options.ts';

/** Plain values, so that they can be given to a thread. */
export interface SourceOptions {
  readonly remote: RemoteOptions;
  readonly cache: DiskCacheOptions | undefined;
}

export function sourceOptions(
  options: { readonly cacheFolder: string | null; readonly cacheBytesMax: number },
  environment: Readonly<Record<string, string | undefined>>,
): SourceOptions {
  const { cacheFolder, cacheBytesMax } = options;
  return {
    remote: { ...REMOTE_DEFAULTS, ...remoteOptionsFromEnvironment(environment) },
    cache: cacheFolder === null ? undefined : { folder: cacheFolder, sizeBytesMax: cacheBytesMax },
  };
}

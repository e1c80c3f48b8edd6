/** How the threads of a run ask servers: from the run's options and the environment it was started in. */
import { readFile } from 'node:fs/promises';
import { describeThrown, GranuleError } from '../../core/errors.ts';
import type { DiskCacheOptions } from './disk-cache.ts';
import { REMOTE_DEFAULTS, type RemoteOptions, remoteOptionsFromEnvironment } from './remote-options.ts';

/** Plain values, so that they can be given to a thread. */
export interface SourceOptions {
  readonly remote: RemoteOptions;
  readonly cache: DiskCacheOptions | undefined;
}

/** The options of a run that are about remote input. */
export interface SourceRunOptions {
  readonly cacheFolder: string | null;
  readonly cacheBytesMax: number;
  readonly patienceMs: number;
  readonly tlsCaPath: string | null;
  readonly allowPlainHttp: boolean;
}

/** @throws CONFIG_INVALID when the file of certificates cannot be read */
export async function readSourceOptions(
  options: SourceRunOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<SourceOptions> {
  const { cacheFolder, cacheBytesMax, patienceMs, tlsCaPath, allowPlainHttp } = options;
  const authorities = tlsCaPath === null ? {} : { certificateAuthorities: await readCertificates(tlsCaPath) };
  return {
    remote: {
      ...REMOTE_DEFAULTS,
      ...remoteOptionsFromEnvironment(environment),
      ...authorities,
      patienceMs,
      allowPlainHttp,
    },
    cache: cacheFolder === null ? undefined : { folder: cacheFolder, sizeBytesMax: cacheBytesMax },
  };
}

async function readCertificates(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new GranuleError('CONFIG_INVALID', `--tls-ca ${path} cannot be read: ${describeThrown(cause).message}`, {
      details: { path },
      cause,
    });
  }
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new GranuleError('CONFIG_INVALID', `--tls-ca ${path} holds no certificate in PEM form`, { details: { path } });
}

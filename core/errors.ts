/**
 * The one error class of granule and the table of its codes.
 *
 * A *bug* is a failed assertion (`core/assert.ts`). Everything that can go wrong without a bug is a {@link GranuleError}
 * with a code of this table. Callers match on `code`, never on the text; codes are never reused or renamed.
 */

import { inspect } from 'node:util';
import { valuesWithoutSecrets, withoutSecrets } from './address-secrets.ts';
import { THROWN_VALUE_CHARS_MAX } from './limits.ts';

/** Exit codes of the command line, as users' scripts see them. */
export const EXIT = {
  ok: 0,
  internal: 1,
  usage: 2,
  storeBusy: 3,
  someFailed: 4,
  stoppedEarly: 75,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Who has to act on an error. */
export type ErrorKind = 'usage' | 'input' | 'payload' | 'store' | 'output' | 'network' | 'internal';

interface ErrorTableEntry {
  readonly kind: ErrorKind;
  readonly exitCode: ExitCode;
  readonly httpStatus: number;
  /** `never`: the same call fails again; `backoff`: worth repeating after a pause. */
  readonly retry: 'never' | 'backoff';
  /** One sentence for the reference table in the docs. */
  readonly summary: string;
}

/** Every code there is. Keep each section sorted; add new codes to the section of their folder. */
export const ERROR_TABLE = {
  // --- usage and configuration
  USAGE: { kind: 'usage', exitCode: 2, httpStatus: 400, retry: 'never', summary: 'The command line is wrong.' },
  CONFIG_INVALID: {
    kind: 'usage',
    exitCode: 2,
    httpStatus: 400,
    retry: 'never',
    summary: 'A configuration file or option value is wrong.',
  },
  RUN_DIFFERS: {
    kind: 'usage',
    exitCode: 2,
    httpStatus: 409,
    retry: 'never',
    summary: 'The output folder holds a run with other inputs, payload, options or seed.',
  },
  OUTPUT_UNWRITABLE: {
    kind: 'usage',
    exitCode: 2,
    httpStatus: 500,
    retry: 'never',
    summary: 'The folder of the output, the event index or the cache cannot be created or written.',
  },

  // --- input files and formats
  INPUT_NOT_FOUND: {
    kind: 'input',
    exitCode: 2,
    httpStatus: 404,
    retry: 'never',
    summary: 'An input path, glob or list names nothing that exists.',
  },
  INPUT_NONE_USABLE: {
    kind: 'input',
    exitCode: 2,
    httpStatus: 422,
    retry: 'never',
    summary: 'None of the inputs given can be used.',
  },
  INPUT_EMPTY: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'An input file holds no event.',
  },
  INPUT_UNRECOGNISED: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'An input file is in no format that granule reads.',
  },
  INPUT_MALFORMED: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'An input file breaks the rules of its format at the place named.',
  },
  INPUT_TRUNCATED: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'An input file ends before its format says it may.',
  },
  INPUT_CHANGED: {
    kind: 'input',
    exitCode: 2,
    httpStatus: 409,
    retry: 'never',
    summary: 'An input file has other content than when this run began.',
  },
  INPUT_DUPLICATE: {
    kind: 'input',
    exitCode: 2,
    httpStatus: 409,
    retry: 'never',
    summary: 'The same content is given twice, or one base name has two contents.',
  },
  INPUT_UNREADABLE: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'backoff',
    summary: 'An input file exists but cannot be read.',
  },
  INPUT_READER_MISSING: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'A ROOT file is given, but jsroot, the optional package that reads it, is not installed.',
  },
  INPUT_ROOT_FAILED: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'jsroot cannot read a ROOT file, tree or branch: it is damaged, or of a kind that jsroot does not know.',
  },
  INPUT_TREE_UNKNOWN: {
    kind: 'input',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'A ROOT file has no tree or branch of the name given, or several trees and none was named.',
  },
  EVENT_NOT_FOUND: {
    kind: 'usage',
    exitCode: 2,
    httpStatus: 404,
    retry: 'never',
    summary: 'An event named by position, GUID or eventRangeID does not exist.',
  },

  // --- payloads
  PAYLOAD_UNKNOWN: {
    kind: 'payload',
    exitCode: 2,
    httpStatus: 400,
    retry: 'never',
    summary: 'No built-in payload and no file has this name.',
  },
  PAYLOAD_INVALID: {
    kind: 'payload',
    exitCode: 2,
    httpStatus: 400,
    retry: 'never',
    summary: 'The payload module cannot be built or does not follow the contract.',
  },
  PAYLOAD_OPTION_INVALID: {
    kind: 'payload',
    exitCode: 2,
    httpStatus: 400,
    retry: 'never',
    summary: 'An option of the payload is unknown or has a wrong value.',
  },
  PAYLOAD_CHANGED: {
    kind: 'payload',
    exitCode: 2,
    httpStatus: 409,
    retry: 'never',
    summary: 'The payload file changed since the run began.',
  },
  PAYLOAD_INIT_FAILED: {
    kind: 'payload',
    exitCode: 2,
    httpStatus: 500,
    retry: 'never',
    summary: 'The payload fails before its first event: in prepare, or in initialize again and again.',
  },
  PAYLOAD_INPUT_MISMATCH: {
    kind: 'payload',
    exitCode: 4,
    httpStatus: 422,
    retry: 'never',
    summary: 'The payload cannot process events of this format.',
  },
  PAYLOAD_OUTPUT_INVALID: {
    kind: 'payload',
    exitCode: 4,
    httpStatus: 500,
    retry: 'never',
    summary: 'The payload wrote something that its output format cannot hold.',
  },
  PAYLOAD_REPORT_FAILED: {
    kind: 'payload',
    exitCode: 4,
    httpStatus: 500,
    retry: 'never',
    summary: 'The report hook of the payload failed; the merged files are complete.',
  },
  WORKERS_LOST: {
    kind: 'payload',
    exitCode: 4,
    httpStatus: 500,
    retry: 'never',
    summary: 'Workers cannot be replaced: the payload, which had worked, fails to initialize again and again.',
  },
  WORKERS_STUCK: {
    kind: 'payload',
    exitCode: 4,
    httpStatus: 500,
    retry: 'never',
    summary: 'Too many worker threads cannot be ended: the payload calls native code that never returns.',
  },

  // --- dispatcher and store
  STORE_BUSY: {
    kind: 'store',
    exitCode: 3,
    httpStatus: 409,
    retry: 'backoff',
    summary: 'Another live process holds the store.',
  },
  STORE_VERSION: {
    kind: 'store',
    exitCode: 2,
    httpStatus: 409,
    retry: 'never',
    summary: 'The store was written by a granule with another schema version.',
  },
  STORE_MISSING: {
    kind: 'store',
    exitCode: 2,
    httpStatus: 404,
    retry: 'never',
    summary: 'There is no run in this folder.',
  },
  STORE_FILE_SYSTEM: {
    kind: 'store',
    exitCode: 2,
    httpStatus: 500,
    retry: 'never',
    summary: 'The store lies on a network file system, where it is not safe.',
  },
  STORE_FAILED: {
    kind: 'store',
    exitCode: 1,
    httpStatus: 500,
    retry: 'never',
    summary: 'The store cannot be written or is damaged; the run stops.',
  },
  TASK_UNKNOWN: {
    kind: 'store',
    exitCode: 2,
    httpStatus: 404,
    retry: 'never',
    summary: 'The store knows no such task, job or consumer.',
  },
  REQUEST_INVALID: {
    kind: 'usage',
    exitCode: 1,
    httpStatus: 400,
    retry: 'never',
    summary: 'A request to the dispatcher breaks its contract.',
  },

  // --- runtime: outputs, staging, merging
  OUTPUT_DAMAGED: {
    kind: 'output',
    exitCode: 4,
    httpStatus: 500,
    retry: 'backoff',
    summary: 'An unmerged output is missing or differs from what was recorded; the event is made again.',
  },
  OUTPUT_FAILED: {
    kind: 'output',
    exitCode: 1,
    httpStatus: 500,
    retry: 'never',
    summary: 'An output cannot be written, for instance because the disk is full.',
  },
  OUTPUT_UNMERGEABLE: {
    kind: 'output',
    exitCode: 4,
    httpStatus: 409,
    retry: 'never',
    summary: 'Outputs with different run headers cannot stand in one file of their format.',
  },
  OUTPUT_TOO_LARGE: {
    kind: 'payload',
    exitCode: 4,
    httpStatus: 500,
    retry: 'never',
    summary: 'An event wrote more than the limit for one output.',
  },

  // --- remote input
  SOURCE_UNREACHABLE: {
    kind: 'network',
    exitCode: 75,
    httpStatus: 502,
    retry: 'backoff',
    summary: 'No replica of a remote file can be reached.',
  },
  SOURCE_CHANGED: {
    kind: 'network',
    exitCode: 4,
    httpStatus: 409,
    retry: 'never',
    summary: 'A remote file changed on its server while it was read.',
  },
  SOURCE_CORRUPT: {
    kind: 'network',
    exitCode: 4,
    httpStatus: 502,
    retry: 'backoff',
    summary: 'A server sent other bytes than its length, range or checksum promised.',
  },
  SOURCE_DIFFERS: {
    kind: 'network',
    exitCode: 4,
    httpStatus: 409,
    retry: 'never',
    summary: 'Replicas of one file differ in size or checksum, from each other or from what is known of the file.',
  },
  SOURCE_REFUSED: {
    kind: 'network',
    exitCode: 4,
    httpStatus: 502,
    retry: 'never',
    summary: 'A server refuses to give a remote file, for instance for want of a token.',
  },

  // --- everything else
  STOPPED_EARLY: {
    kind: 'usage',
    exitCode: 75,
    httpStatus: 503,
    retry: 'backoff',
    summary: 'The run was told to stop before this work had begun.',
  },
  INTERNAL: { kind: 'internal', exitCode: 1, httpStatus: 500, retry: 'never', summary: 'A bug in granule.' },
} as const satisfies Record<string, ErrorTableEntry>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** Facts about an error that programs may use: plain values only, so that they survive a thread and HTTP. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** What crosses a thread, a socket or HTTP instead of a {@link GranuleError}. */
export interface SerialisedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
  readonly stack: string;
}

/**
 * An operating failure: the message says what was wanted, what was found and where (file, byte offset, eventRangeID),
 * `remedy` says what the user can do about it. Secrets in the addresses it names are left out, see `address-secrets.ts`.
 */
export class GranuleError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly remedy: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly details?: ErrorDetails; readonly cause?: unknown; readonly remedy?: string } = {},
  ) {
    super(withoutSecrets(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'GranuleError';
    this.code = code;
    this.details = valuesWithoutSecrets(options.details ?? {}) as ErrorDetails;
    this.remedy = options.remedy === undefined ? undefined : withoutSecrets(options.remedy);
  }

  get exitCode(): ExitCode {
    return ERROR_TABLE[this.code].exitCode;
  }
}

/** True for an error with a code of ours, also one that another copy of this module has made (a bundled payload has one). */
export function isGranuleError(error: unknown): error is GranuleError {
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'string')) return false;
  return Object.hasOwn(ERROR_TABLE, error.code);
}

/** Turns anything thrown into what may cross a thread. An error without a code of ours becomes `INTERNAL`. */
export function serialiseError(error: unknown): SerialisedError & { readonly remedy?: string } {
  if (isGranuleError(error)) {
    return {
      code: error.code,
      message: error.message,
      details: error.details,
      stack: error.stack ?? '',
      ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
    };
  }
  const { message, stack } = describeThrown(error);
  return { code: 'INTERNAL', message, details: {}, stack };
}

/** The other end of {@link serialiseError}. */
export function deserialiseError(error: SerialisedError & { readonly remedy?: string }): GranuleError {
  const rebuilt = new GranuleError(error.code, error.message, {
    details: error.details,
    ...(error.remedy === undefined ? {} : { remedy: error.remedy }),
  });
  if (error.stack !== '') rebuilt.stack = error.stack;
  return rebuilt;
}

/** Message and stack of anything a `catch` may receive: payloads throw strings, nulls and objects of any make, too. */
export function describeThrown(thrown: unknown): { readonly message: string; readonly stack: string } {
  try {
    if (thrown instanceof Error) {
      return { message: String(thrown.message) || String(thrown.name), stack: String(thrown.stack ?? '') };
    }
    if (typeof thrown === 'object' && thrown !== null && 'message' in thrown && typeof thrown.message === 'string') {
      return { message: thrown.message, stack: '' };
    }
    return { message: typeof thrown === 'object' ? inspected(thrown) : String(thrown), stack: '' };
  } catch {
    // A getter of somebody else's may throw.
    return { message: 'something was thrown that has no text', stack: '' };
  }
}

/** An object on one bounded line, `{ weird: true }`; code of its own (`inspect.custom`) is not called. */
function inspected(thrown: object | null): string {
  const text = inspect(thrown, {
    breakLength: Number.POSITIVE_INFINITY,
    compact: true,
    customInspect: false,
    maxArrayLength: 10,
    maxStringLength: THROWN_VALUE_CHARS_MAX,
  });
  const line = text.replace(/\s*\n\s*/g, ' ');
  return line.length <= THROWN_VALUE_CHARS_MAX ? line : `${line.slice(0, THROWN_VALUE_CHARS_MAX - 1)}…`;
}

/** What an HTTP answer says about the file behind it: size, validator, checksums; and the errors when that is amiss. */
import { GranuleError } from '../../core/errors.ts';
import type { FileChecksum, SourceIdentity } from './byte-source.ts';
import type { HttpAnswer, HttpHeaders } from './http-client.ts';
import { showUrl } from './place.ts';
import { tryContentRange } from './range-plan.ts';

export function identityOf(headers: HttpHeaders, sizeBytes: number | undefined): SourceIdentity {
  return { sizeBytes, validator: validatorOf(headers), checksums: checksumsOf(headers) };
}

/**
 * The entity tag, else the time of the last change, else a checksum (XRootD states nothing but that). A weak tag
 * serves: it is compared, not sent.
 */
function validatorOf(headers: HttpHeaders): string | undefined {
  const { etag, 'last-modified': modified } = headers;
  if (etag !== undefined) return `etag:${etag}`;
  if (modified !== undefined) return `modified:${modified}`;
  const [checksum] = checksumsOf(headers);
  return checksum === undefined ? undefined : `${checksum.algorithm}:${checksum.hex}`;
}

/** Validators of different kinds say nothing about each other: a server may leave its usual one out of some answers. */
function contradict(one: string, other: string): boolean {
  return one !== other && one.slice(0, one.indexOf(':')) === other.slice(0, other.indexOf(':'));
}

/**
 * Holds a file to what its first answer said of it: a file that changes on its server is an error, not a mixture. Where
 * a size is expected, already the first answer must state it.
 */
export class IdentityPin {
  #sizeBytes: number | undefined;
  #validator: string | undefined;
  #isExpectation: boolean;

  constructor(expectedSizeBytes: number | undefined) {
    this.#sizeBytes = expectedSizeBytes;
    this.#isExpectation = expectedSizeBytes !== undefined;
  }

  /** Throws `SOURCE_CHANGED` or `SOURCE_DIFFERS`, and ends the transfer, when the answer is of another file. */
  check(answer: HttpAnswer): void {
    const sizeBytes =
      tryContentRange(answer.headers['content-range'])?.totalBytes ??
      (answer.statusCode === 200 ? lengthOf(answer.headers) : undefined);
    try {
      this.agree({ sizeBytes, validator: validatorOf(answer.headers) }, answer.url);
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
  }

  agree({ sizeBytes, validator }: Pick<SourceIdentity, 'sizeBytes' | 'validator'>, url: URL): void {
    if (sizeBytes !== undefined && this.#sizeBytes !== undefined && sizeBytes !== this.#sizeBytes) {
      if (this.#isExpectation) throw differs(url, sizeBytes, this.#sizeBytes);
      throw changed(url, `it had ${this.#sizeBytes} bytes and now has ${sizeBytes}`);
    }
    if (validator !== undefined && this.#validator !== undefined && contradict(validator, this.#validator)) {
      throw changed(url, `its validator was ${this.#validator} and now is ${validator}`);
    }
    this.#sizeBytes ??= sizeBytes;
    this.#validator ??= validator;
    if (sizeBytes !== undefined) this.#isExpectation = false;
  }
}

function lengthOf(headers: HttpHeaders): number | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Number(length);
}

const ALGORITHMS: Readonly<Record<string, FileChecksum['algorithm']>> = {
  adler32: 'adler32',
  crc32: 'crc32',
  md5: 'md5',
  'sha-256': 'sha-256',
  'sha-512': 'sha-512',
};

/** `Digest` (RFC 3230: adler32 and crc32 in hexadecimal, hashes in base64) and `Repr-Digest` (RFC 9530). */
export function checksumsOf(headers: HttpHeaders): FileChecksum[] {
  const checksums: FileChecksum[] = [];
  for (const item of `${headers['digest'] ?? ''},${headers['repr-digest'] ?? ''}`.split(',')) {
    const match = /^\s*([a-z0-9-]+)=:?([A-Za-z0-9+/=]+?):?\s*$/i.exec(item);
    const algorithm = ALGORITHMS[match?.[1]?.toLowerCase() ?? ''];
    const value = match?.[2];
    if (algorithm === undefined || value === undefined) continue;
    const hex = /^(?:adler32|crc32)$/.test(algorithm)
      ? value.toLowerCase().padStart(8, '0')
      : Buffer.from(value, 'base64').toString('hex');
    checksums.push({ algorithm, hex });
  }
  return checksums;
}

function differs(url: URL, found: number, wanted: number): GranuleError {
  return new GranuleError(
    'SOURCE_DIFFERS',
    `${showUrl(url)} has ${found} bytes, but the file is known to have ${wanted}`,
    {
      details: { url: showUrl(url), found, wanted },
      remedy: 'Remove this replica from the catalogue, or start a new run on the file as it is now.',
    },
  );
}

export function changed(url: URL, difference: string): GranuleError {
  return new GranuleError('SOURCE_CHANGED', `${showUrl(url)} changed on its server: ${difference}`, {
    details: { url: showUrl(url) },
    remedy: 'Start a new run (another --out, or --fresh) on the file as it is now.',
  });
}

export function corrupt(url: URL, problem: string): GranuleError {
  return new GranuleError('SOURCE_CORRUPT', `${showUrl(url)}: ${problem}`, { details: { url: showUrl(url) } });
}

/** A definite answer other than the bytes. */
export function refused(url: URL, statusCode: number): GranuleError {
  const details = { url: showUrl(url), status: statusCode };
  if (statusCode === 404 || statusCode === 410) {
    return new GranuleError('INPUT_NOT_FOUND', `${showUrl(url)} does not exist on its server (${statusCode})`, {
      details,
    });
  }
  const authorised = statusCode === 401 || statusCode === 403;
  return new GranuleError('SOURCE_REFUSED', `${showUrl(url)}: the server answers ${statusCode}`, {
    details,
    ...(authorised
      ? { remedy: 'Give a bearer token that this server takes: BEARER_TOKEN, or BEARER_TOKEN_FILE.' }
      : {}),
  });
}

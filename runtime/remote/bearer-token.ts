/**
 * Bearer tokens for servers that ask for them, found by the WLCG Bearer Token Discovery specification
 * (https://zenodo.org/records/3937438): `BEARER_TOKEN`, the file named by `BEARER_TOKEN_FILE`,
 * `$XDG_RUNTIME_DIR/bt_u<uid>`, `/tmp/bt_u<uid>`. A token is never logged and appears in no error.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BEARER_TOKEN_REREAD_MS } from '../../core/limits.ts';
import { percentDecoded } from '../../core/percent-encoding.ts';

type TokenEnvironment = Readonly<Record<string, string | undefined>>;

/** Finds the token and reads it again from time to time: agents renew token files while a run is on. */
export class BearerTokens {
  readonly #environment: TokenEnvironment;
  readonly #allowPlainHttp: boolean;
  readonly #origins = new Set<string>();
  #token: string | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(environment: TokenEnvironment, allowPlainHttp: boolean) {
    this.#environment = environment;
    this.#allowPlainHttp = allowPlainHttp;
  }

  /** The user named a file of this origin: only such origins are ever sent the token, never the target of a redirect. */
  trust(origin: string): void {
    this.#origins.add(origin);
  }

  /** The `authorization` header for a request to `url`, whose own user name comes first; undefined when it gets none. */
  async authorizationFor(url: URL, nowMs: number): Promise<string | undefined> {
    if (url.protocol !== 'https:' && !isLoopback(url.hostname) && !this.#allowPlainHttp) return undefined;
    if (url.username !== '') return basicAuthorization(url);
    if (!this.#origins.has(url.origin)) return undefined;
    if (nowMs - this.#readAtMs > BEARER_TOKEN_REREAD_MS) {
      this.#token = await findBearerToken(this.#environment);
      this.#readAtMs = nowMs;
    }
    if (this.#token === undefined || !isMeantFor(this.#token, url)) return undefined;
    return `Bearer ${this.#token}`;
  }
}

/** RFC 7617, for a user name and password that stand in the address. */
function basicAuthorization({ username, password }: URL): string {
  const credentials = [username, password].map(percentDecoded).join(':');
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

export async function findBearerToken(environment: TokenEnvironment): Promise<string | undefined> {
  const given = environment['BEARER_TOKEN']?.trim();
  if (given !== undefined && given !== '') return given;
  const uid = process.getuid?.() ?? 0;
  const named = environment['BEARER_TOKEN_FILE'];
  // The file the user names is the user's word; the well-known places count only when nobody else could have written them.
  if (named !== undefined && named !== '') return readToken(named, undefined);
  const folders = [environment['XDG_RUNTIME_DIR'] ?? '', '/tmp'].filter((folder) => folder !== '');
  for (const folder of folders) {
    const token = await readToken(join(folder, `bt_u${uid}`), uid);
    if (token !== undefined) return token;
  }
  return undefined;
}

async function readToken(path: string, owner: number | undefined): Promise<string | undefined> {
  try {
    if (owner !== undefined && (await stat(path)).uid !== owner) return undefined;
    const token = (await readFile(path, 'utf8')).trim();
    return token === '' ? undefined : token;
  } catch {
    // No readable file means no token here: the server's refusal, if any, is the error to show.
    return undefined;
  }
}

/** Audiences that mean "any server": the WLCG and the SciTokens profile. */
const ANY_AUDIENCE = new Set(['https://wlcg.cern.ch/jwt/v1/any', 'ANY']);

/**
 * A token whose audience (RFC 7519, 4.1.3) names hosts is sent to those only. Opaque tokens, tokens without audience
 * and audiences that name no host (a project, a client) are left for the server to judge.
 */
export function isMeantFor(token: string, url: URL): boolean {
  const audiences = audiencesOf(token);
  const hosts = audiences.map(hostOfAudience);
  if (audiences.some((audience) => ANY_AUDIENCE.has(audience)) || !hosts.every((host) => host !== undefined))
    return true;
  return hosts.length === 0 || hosts.some((host) => host === url.hostname || host === url.host);
}

function audiencesOf(token: string): string[] {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
    if (typeof claims !== 'object' || claims === null || !('aud' in claims)) return [];
    const list: unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
    return list.filter((audience) => typeof audience === 'string');
  } catch {
    return [];
  }
}

function hostOfAudience(audience: string): string | undefined {
  const match = /^(?:[a-z]+:\/\/)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?)(?:\/.*)?$/.exec(audience);
  return match?.[1]?.toLowerCase();
}

export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || hostname === '::1' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
  );
}

/**
 * GET over HTTP(S) with what remote input needs around it: connection pools, proxies, an own CA, bearer tokens, bounded
 * redirects, time-outs by silence, and a health record per host. No retries here: a failed request is an error, and
 * `ReplicaSet` decides what happens next. One client per thread; undici is loaded with the first request.
 */
import { rootCertificates } from 'node:tls';
import type { Dispatcher } from 'undici';
import type { Clock } from '../../core/clock.ts';
import { describeThrown, type ErrorDetails, GranuleError } from '../../core/errors.ts';
import { REMOTE_REDIRECTS_MAX } from '../../core/limits.ts';
import { retryAfterMs } from './backoff.ts';
import { BearerTokens } from './bearer-token.ts';
import { guardConnector } from './end-guard.ts';
import { HostHealth } from './host-health.ts';
import { showUrl } from './place.ts';
import type { RemoteOptions } from './remote-options.ts';

export type HttpHeaders = Readonly<Record<string, string>>;

/** An answer whose body is still to be read, dumped or destroyed. */
export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: HttpHeaders;
  readonly body: Dispatcher.ResponseData['body'];
  /** where it came from after redirects */
  readonly url: URL;
  readonly host: HostHealth;
}

export interface HttpRequest {
  readonly url: URL;
  /** names written as in the RFCs: XRootD (seen in 5.5) does not know `range` from nothing, only `Range` */
  readonly headers: HttpHeaders;
  readonly signal: AbortSignal;
  /** a POST when given */
  readonly body?: Uint8Array;
  /** ask for the headers only, on a connection that is not used again */
  readonly headOnly?: boolean;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Statuses that say "not now". */
const OVERLOADED = new Set([408, 425, 429, 500, 502, 503, 504, 507, 509]);

interface Transport {
  readonly request: typeof import('undici').request;
  readonly dispatcher: Dispatcher;
}

export class HttpClient {
  readonly clock: Clock;
  /** bytes of bodies read so far, over all files: what the input cost */
  receivedBytes = 0;
  readonly #options: RemoteOptions;
  readonly #tokens: BearerTokens;
  readonly #hosts = new Map<string, HostHealth>();
  #transport: Promise<Transport> | undefined;

  constructor(options: RemoteOptions, clock: Clock) {
    this.#options = options;
    this.clock = clock;
    this.#tokens = new BearerTokens(options.tokenEnvironment, options.allowPlainHttp);
  }

  host(url: URL): HostHealth {
    let host = this.#hosts.get(url.origin);
    if (host === undefined) {
      host = new HostHealth(url.origin);
      this.#hosts.set(url.origin, host);
    }
    return host;
  }

  /** The user named a file of this server: it may be sent the bearer token. */
  trust(url: URL): void {
    this.#tokens.trust(url.origin);
  }

  /**
   * Sends the request and follows redirects. Any status but an overload is an answer for the caller to judge.
   *
   * @throws SOURCE_UNREACHABLE with `details` `{ url, permanent, retryAfterMs? }`: no connection, silence, overload,
   *   an open circuit breaker, a redirect that must not be followed; CONFIG_INVALID for a proxy that is none
   */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    let url = request.url;
    for (let redirects = 0; redirects <= REMOTE_REDIRECTS_MAX; redirects += 1) {
      const answer = await this.#sendOnce(url, request);
      const location = answer.headers['location'];
      if (!REDIRECTS.has(answer.statusCode) || location === undefined) return answer;
      await discard(answer);
      url = this.#redirectTarget(url, location);
    }
    throw unreachable(request.url, `more than ${REMOTE_REDIRECTS_MAX} redirects, the last to ${showUrl(url)}`, {
      permanent: true,
    });
  }

  async close(): Promise<void> {
    // One that could not be made was the error of each request.
    const transport = await this.#transport?.catch(() => undefined);
    await transport?.dispatcher.destroy();
  }

  async #sendOnce(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    const host = this.host(url);
    const waitMs = host.admit(this.clock.monotonicMs());
    if (waitMs > 0) {
      throw unreachable(url, 'the host failed repeatedly and is left alone for a while', { retryAfterMs: waitMs });
    }
    const startMs = this.clock.monotonicMs();
    try {
      const transport = await this.#connectTransport();
      const authorization = await this.#tokens.authorizationFor(url, startMs);
      const response = await transport.request(url, {
        dispatcher: transport.dispatcher,
        method: methodOf(request),
        reset: request.headOnly === true,
        headers: authorization === undefined ? request.headers : { ...request.headers, Authorization: authorization },
        signal: request.signal,
        body: request.body ?? null,
      });
      // A body that is destroyed on purpose still reports it; whoever reads it to the end gets the error there.
      response.body.on('error', () => undefined);
      const answer = { ...response, headers: flatten(response.headers), url, host };
      const nowMs = this.clock.monotonicMs();
      if (OVERLOADED.has(answer.statusCode)) {
        const pauseMs = retryAfterMs(answer.headers['retry-after'], this.clock.nowMs());
        await discard(answer);
        throw unreachable(url, `the server answers ${answer.statusCode}`, {
          status: answer.statusCode,
          ...(pauseMs === undefined ? {} : { retryAfterMs: pauseMs }),
        });
      }
      host.answered(nowMs - startMs, nowMs);
      return answer;
    } catch (error) {
      throw this.failure(error, url, request.signal);
    }
  }

  /** Translates whatever a request or a body failed with, and tells the host's health record. */
  failure(error: unknown, url: URL, signal: AbortSignal): unknown {
    const host = this.host(url);
    if (signal.aborted) {
      host.abandoned();
      return signal.reason;
    }
    const translated = error instanceof GranuleError ? error : networkFailure(error, url);
    const pauseMs = translated.details['retryAfterMs'];
    host.failed(this.clock.monotonicMs(), typeof pauseMs === 'number' ? pauseMs : 0);
    return translated;
  }

  #redirectTarget(from: URL, location: string): URL {
    const target = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    if (target === undefined || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
      throw unreachable(from, 'the server redirects to something that is not http', { permanent: true });
    }
    if (from.protocol === 'https:' && target.protocol === 'http:' && !this.#options.allowPlainHttp) {
      throw unreachable(from, `the server redirects from https to plain http at ${target.host}`, { permanent: true });
    }
    return target;
  }

  #connectTransport(): Promise<Transport> {
    this.#transport ??= import('undici').then(({ buildConnector, EnvHttpProxyAgent, request }) => {
      const { certificateAuthorities } = this.#options;
      const tls = certificateAuthorities === undefined ? {} : { ca: [...rootCertificates, certificateAuthorities] };
      const dispatcher = new EnvHttpProxyAgent({
        connections: this.#options.connectionsPerHost,
        connect: guardConnector(buildConnector({ timeout: this.#options.connectMs, ...tls })),
        // Of a proxy: what it is spoken to with, and, through its tunnel, the server.
        proxyTls: tls,
        requestTls: tls,
        // Plain http is asked for by its whole address: proxies commonly tunnel to port 443 only.
        proxyTunnel: false,
        headersTimeout: this.#options.silenceMs,
        bodyTimeout: this.#options.silenceMs,
        httpProxy: proxyUrl(this.#options.httpProxy, 'http_proxy'),
        httpsProxy: proxyUrl(this.#options.httpsProxy, 'https_proxy'),
        noProxy: this.#options.noProxy,
      });
      return { request, dispatcher };
    });
    return this.#transport;
  }
}

/**
 * As in curl, a proxy may be named without its scheme. Anything undici would not understand it would try to connect to for
 * ever. The message leaves out the value, which may hold a password.
 */
function proxyUrl(text: string, variable: string): string {
  if (text === '') return '';
  const url = text.includes('://') ? text : `http://${text}`;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  throw new GranuleError('CONFIG_INVALID', `the environment variable ${variable} does not name an HTTP proxy`, {
    details: { variable },
    remedy: `Set ${variable} to http://host:port, or unset it.`,
  });
}

function methodOf(request: HttpRequest): 'GET' | 'HEAD' | 'POST' {
  if (request.headOnly === true) return 'HEAD';
  return request.body === undefined ? 'GET' : 'POST';
}

/** Reads away a small body so that its connection can be used again; a large one is cut off. */
export async function discard(answer: Pick<HttpAnswer, 'body'>): Promise<void> {
  await answer.body.dump({ limit: 64 * 1024 }).catch(() => undefined);
}

export function unreachable(url: URL, problem: string, details: ErrorDetails = {}, cause?: unknown): GranuleError {
  return new GranuleError('SOURCE_UNREACHABLE', `${showUrl(url)}: ${problem}`, {
    details: { url: showUrl(url), permanent: false, ...details },
    remedy: 'Run the same command again when the server can be reached, or name another replica.',
    ...(cause === undefined ? {} : { cause }),
  });
}

const SAYINGS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the host name is unknown',
  EAI_AGAIN: 'the host name cannot be looked up now',
  ECONNREFUSED: 'the connection is refused',
  ECONNRESET: 'the connection was cut',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'the server is silent',
  UND_ERR_BODY_TIMEOUT: 'the server stopped sending',
  UND_ERR_SOCKET: 'the connection was cut',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the server sent another length than it announced',
};

function networkFailure(error: unknown, url: URL): GranuleError {
  const code = codeOf(error);
  const certificate = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_/.test(code);
  const problem = certificate
    ? `its certificate cannot be trusted (${code})`
    : (SAYINGS[code] ?? describeThrown(error).message);
  return unreachable(url, problem, { syscall: code, permanent: certificate || code === 'ENOTFOUND' }, error);
}

/** undici wraps system errors, and Happy Eyeballs collects several: the first code found is the most telling. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0]);
  if (!(error instanceof Error)) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? '' : codeOf(error.cause);
}

/** One value per name: repeated headers are joined as RFC 9110 (5.3) allows. */
function flatten(headers: Readonly<Record<string, string | string[] | undefined>>): HttpHeaders {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return flat;
}

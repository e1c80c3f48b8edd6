/** Settings of remote input, resolved once by the command line (which alone reads the environment) and then fixed. */
import {
  REMOTE_BACKOFF_BASE_MS,
  REMOTE_BACKOFF_MAX_MS,
  REMOTE_CONNECT_MS,
  REMOTE_CONNECTIONS_PER_HOST,
  REMOTE_PATIENCE_MS,
  REMOTE_SILENCE_MS,
} from '../../core/limits.ts';

export interface RemoteOptions {
  /** a connection that is not made by then has failed */
  readonly connectMs: number;
  /** a transfer that sends no byte for so long has failed, however long it takes in all */
  readonly silenceMs: number;
  /** how long one read may go on failing on all replicas before it is given up */
  readonly patienceMs: number;
  /** pauses between tries are drawn from [0, base * 2^tries), at most the maximum (full jitter) */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly connectionsPerHost: number;
  /** PEM text of authorities trusted beside the system's */
  readonly certificateAuthorities?: string;
  /** proxies (URLs, or `host:port`) and exceptions, as in `http_proxy`, `https_proxy` and `no_proxy`; empty for none */
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly noProxy: string;
  /** where a bearer token is looked for: see `bearer-token.ts` */
  readonly tokenEnvironment: Readonly<Record<string, string | undefined>>;
  /** lets tokens travel over http to other hosts, and https redirect to http */
  readonly allowPlainHttp: boolean;
}

export const REMOTE_DEFAULTS: RemoteOptions = {
  connectMs: REMOTE_CONNECT_MS,
  silenceMs: REMOTE_SILENCE_MS,
  patienceMs: REMOTE_PATIENCE_MS,
  backoffBaseMs: REMOTE_BACKOFF_BASE_MS,
  backoffMaxMs: REMOTE_BACKOFF_MAX_MS,
  connectionsPerHost: REMOTE_CONNECTIONS_PER_HOST,
  httpProxy: '',
  httpsProxy: '',
  noProxy: '',
  tokenEnvironment: {},
  allowPlainHttp: false,
};

/** What the environment says about proxies and tokens; lower-case proxy variables win, as in curl. */
export function remoteOptionsFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Pick<RemoteOptions, 'httpProxy' | 'httpsProxy' | 'noProxy' | 'tokenEnvironment'> {
  const { BEARER_TOKEN, BEARER_TOKEN_FILE, XDG_RUNTIME_DIR } = environment;
  return {
    // HTTP_PROXY in capitals is left out: a web server sets it from a request's "Proxy" header (httpoxy).
    httpProxy: environment['http_proxy'] ?? '',
    httpsProxy: environment['https_proxy'] ?? environment['HTTPS_PROXY'] ?? '',
    noProxy: environment['no_proxy'] ?? environment['NO_PROXY'] ?? '',
    tokenEnvironment: { BEARER_TOKEN, BEARER_TOKEN_FILE, XDG_RUNTIME_DIR },
  };
}

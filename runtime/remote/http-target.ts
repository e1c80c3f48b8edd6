/** The address of one file on HTTP servers: where it was named, and where redirects led to last time. */
import { NEVER } from './abortable.ts';
import type { HostHealth } from './host-health.ts';
import { discard, type HttpAnswer, type HttpClient, type HttpHeaders } from './http-client.ts';
import { corrupt } from './http-identity.ts';

/** Statuses after which a remembered redirect target is no longer good. */
const TARGET_GONE = new Set([401, 403, 404, 410]);

export class HttpTarget {
  readonly client: HttpClient;
  readonly url: URL;
  #current: URL;

  constructor(client: HttpClient, url: URL) {
    this.client = client;
    this.url = url;
    this.#current = url;
    client.trust(url);
  }

  /** The host that serves the file now. */
  get host(): HostHealth {
    return this.client.host(this.#current);
  }

  /** Goes where redirects led last time, which saves a round trip, and back to the beginning when that no longer answers. */
  async send(headers: HttpHeaders, signal: AbortSignal): Promise<HttpAnswer> {
    const current = this.#current;
    const all = { ...headers, 'Accept-Encoding': 'identity' };
    try {
      let answer = await this.client.send({ url: current, headers: all, signal });
      if (current !== this.url && TARGET_GONE.has(answer.statusCode)) {
        await discard(answer);
        answer = await this.client.send({ url: this.url, headers: all, signal });
      }
      if (answer.url.href !== this.#current.href) this.#current = answer.url;
      return answer;
    } catch (error) {
      this.#current = this.url;
      throw error;
    }
  }

  /** The headers a GET would have, on a connection of its own. */
  sendHead(headers: HttpHeaders, signal: AbortSignal): Promise<HttpAnswer> {
    return this.client.send({ url: this.#current, headers, headOnly: true, signal });
  }

  /** The error for an answer that is not what was asked for; counts against the host. */
  corrupt(answer: HttpAnswer, problem: string): unknown {
    // Never aborted: the failure is the server's.
    return this.client.failure(corrupt(answer.url, problem), answer.url, NEVER);
  }
}

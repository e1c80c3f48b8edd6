/**
 * The event server (`granule serve-events`): lists files, answers where their events lie, streams chosen events, and
 * serves byte ranges. Read-only; a file is addressed by its GUID, never by a path.
 *
 * | route | answer |
 * |---|---|
 * | `GET /v1/files?after=GUID&limit=N` | `{schema, files: [{guid, lfn, sizeBytes, events, format, …}], next}` |
 * | `GET /v1/files/:guid` | the file's record with its run segments |
 * | `GET /v1/files/:guid/tokens?events=1-100,205` | one `{"position", "token"}` a line; bare places if accepted |
 * | `GET /v1/tokens?run=R&events=5,7-9` | one `{"run", "event", "guid", "position", "token"}` a line |
 * | `GET /v1/files/:guid/events?events=1-100,205` | frames: see `event-frames.ts` |
 * | `POST /v1/files/:guid/ranges` | frames of byte ranges of the file as it lies |
 * | `GET /v1/files/:guid/content` | the file as it lies, with ranges |
 *
 * Errors are `{schema, error: {code, message, remedy, details}}` with the status of the error table. Other sources of
 * events (generated on request, say) can join as further `:guid`s.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { hostname } from 'node:os';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { describeThrown, ERROR_TABLE, GranuleError, isGranuleError, serialiseError } from '../../core/errors.ts';
import { clipSelection, countSelected, parseEventSelection } from '../../core/event-selection.ts';
import type { FileRecord } from '../../core/file-index.ts';
import type { Guid } from '../../core/ids.ts';
import { SERVED_LIST_FILES_MAX, SERVED_LOOKUPS_MAX, SERVED_RANGES_BODY_BYTES_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import { numberedToken } from '../indexing/event-token.ts';
import { isLoopback } from '../remote/bearer-token.ts';
import type { ByteRange } from '../remote/byte-source.ts';
import { EVENT_PLACES_TYPE, PLACE_BYTES, readPlaces } from '../remote/event-frames.ts';
import { EVENT_SERVER_ROUTES } from '../remote/event-server-place.ts';
import { serveContent } from './serve-content.ts';
import { selectEvents, sendEvents, sendPlaces, sendRanges, sendTokens } from './serve-events.ts';
import { ServedFiles, type ServedIndex } from './served-files.ts';

export interface EventServerOptions {
  readonly index: ServedIndex;
  /** where the served files lie; all of them are in the index */
  readonly paths: ReadonlyMap<Guid, string>;
  /** asked of every request as a bearer token, when given */
  readonly token: string | undefined;
  readonly log: Logger;
}

type FileRequest = FastifyRequest<{ Params: { guid: string }; Querystring: { events?: string } }>;

/** The server, not listening yet. `close` closes the files too; the index stays the caller's. */
export function buildEventServer(options: EventServerOptions): FastifyInstance {
  const files = new ServedFiles(options.index, options.paths);
  const app = fastify({
    logger: false,
    bodyLimit: SERVED_RANGES_BODY_BYTES_MAX,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
  });
  app.addHook('onClose', () => files.close());
  app.setErrorHandler((error, _request, reply) => sendError(error, reply, options.log));
  app.setNotFoundHandler((request) => {
    throw new GranuleError('EVENT_NOT_FOUND', `this event server has no route ${request.method} ${request.url}`);
  });
  if (options.token !== undefined) requireToken(app, options.token);
  app.addContentTypeParser(EVENT_PLACES_TYPE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  app.get(EVENT_SERVER_ROUTES.files, (request: FastifyRequest<{ Querystring: { after?: string; limit?: string } }>) =>
    listFiles(files, request.query),
  );
  app.get(EVENT_SERVER_ROUTES.tokensByNumber, (request: FastifyRequest<{ Querystring: NumberQuery }>, reply) =>
    sendTokensByNumber(files, request.query, reply),
  );
  app.get(EVENT_SERVER_ROUTES.file(':guid'), (request: FileRequest) => ({
    schema: 1,
    ...files.require(request.params.guid).record,
  }));
  app.get(EVENT_SERVER_ROUTES.tokens(':guid'), (request: FileRequest, reply) => {
    const { record } = files.require(request.params.guid);
    const selection = selectEvents(record, request.query.events);
    if (request.headers.accept === EVENT_PLACES_TYPE) return sendPlaces(files.index, record, selection, reply);
    return sendTokens(files.index, record, selection, reply);
  });
  app.get(EVENT_SERVER_ROUTES.events(':guid'), (request: FileRequest, reply) => {
    const file = files.require(request.params.guid);
    return sendEvents(files, file, selectEvents(file.record, request.query.events), reply);
  });
  app.post(EVENT_SERVER_ROUTES.ranges(':guid'), (request: FileRequest, reply) => {
    const file = files.require(request.params.guid);
    return sendRanges(files, file, rangesOf(request.body), reply);
  });
  app.route({
    method: ['GET', 'HEAD'],
    url: EVENT_SERVER_ROUTES.content(':guid'),
    handler: (request: FileRequest, reply) => {
      const file = files.require(request.params.guid);
      return serveContent(files, file, request, reply)?.catch((error: unknown) => {
        if (!reply.raw.headersSent) throw error;
        // The client sees a connection cut short of its length; here is why.
        options.log.warn({ path: file.path, reason: describeThrown(error).message }, 'content cut off');
      });
    },
  });
  return app;
}

/**
 * Listens. Beyond this machine only with a token, since whoever reaches the port may read all files.
 *
 * @param address port 0 takes a free one
 * @returns the address it listens on, as a URL; of all addresses of this machine (0.0.0.0, ::) one with its name
 * @throws USAGE
 */
export async function listenEventServer(
  app: FastifyInstance,
  address: { readonly host: string; readonly port: number; readonly token: string | undefined },
): Promise<string> {
  if (!isLoopback(address.host) && address.token === undefined) {
    throw new GranuleError('USAGE', `listening on ${address.host} opens the files to the network`, {
      remedy: 'Give a token too, or listen on 127.0.0.1.',
    });
  }
  const url = await app.listen({ host: address.host, port: address.port });
  if (!ALL_ADDRESSES.has(address.host)) return url;
  const named = new URL(url);
  named.hostname = hostname();
  // Not every name that a machine may have can stand in a URL.
  return named.hostname === hostname().toLowerCase() ? named.origin : url;
}

const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

function rangesOf(body: unknown): ByteRange[] {
  if (!Buffer.isBuffer(body) || body.length % PLACE_BYTES !== 0) {
    throw new GranuleError('USAGE', `the body is not a list of byte ranges (${EVENT_PLACES_TYPE})`);
  }
  try {
    return [...readPlaces(body)];
  } catch (cause) {
    throw new GranuleError('USAGE', `the body is not a list of byte ranges: ${describeThrown(cause).message}`, {
      cause,
    });
  }
}

function requireToken(app: FastifyInstance, token: string): void {
  // Digests have equal lengths, which the comparison in constant time needs.
  const wanted = digest(`Bearer ${token}`);
  app.addHook('onRequest', async (request, reply) => {
    if (timingSafeEqual(digest(request.headers.authorization ?? ''), wanted)) return;
    await reply
      .code(401)
      .header('www-authenticate', 'Bearer')
      .send({
        schema: 1,
        error: { code: 'SOURCE_REFUSED', message: 'this event server asks for a bearer token', details: {} },
      });
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function listFiles(files: ServedFiles, query: { after?: string; limit?: string }): object {
  const limit = Math.min(SERVED_LIST_FILES_MAX, Math.max(1, Number(query.limit ?? SERVED_LIST_FILES_MAX) || 1));
  const after = query.after?.toUpperCase() ?? '';
  const rest = files.list().filter(({ record }) => record.guid > after);
  const page = rest.slice(0, limit).map(({ record }) => describe(record));
  return { schema: 1, files: page, next: rest.length > limit ? page.at(-1)?.guid : null };
}

function describe(record: FileRecord): Omit<FileRecord, 'runSegments' | 'eventCount'> & { readonly events: number } {
  const { runSegments: _runSegments, eventCount, ...rest } = record;
  return { ...rest, events: eventCount };
}

interface NumberQuery {
  readonly run?: string;
  readonly events?: string;
}

async function sendTokensByNumber(files: ServedFiles, query: NumberQuery, reply: FastifyReply): Promise<FastifyReply> {
  const run = Number(query.run ?? 0);
  const numbers = clipSelection(parseEventSelection(query.events ?? ''), Number.MAX_SAFE_INTEGER);
  if (!Number.isSafeInteger(run) || countSelected(numbers) > SERVED_LOOKUPS_MAX) {
    throw new GranuleError('USAGE', `a query names a run and at most ${SERVED_LOOKUPS_MAX} event numbers`);
  }
  const wanted = numbers.flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, index): [number, number] => [run, first + index]),
  );
  // The index may be shared, and know files that are not served here.
  const matches = files.index.lookupEvents(wanted).filter(({ guid }) => files.has(guid));
  const lines = matches.map(({ request, guid, position }) => {
    const token = numberedToken(files.index, files.require(guid).record, position);
    return JSON.stringify({ run, event: wanted[request]?.[1], guid, position, token });
  });
  return reply.type('application/x-ndjson').send(lines.map((line) => `${line}\n`).join(''));
}

function sendError(error: unknown, reply: FastifyReply, log: Logger): FastifyReply {
  const { stack: _stack, ...shown } = serialiseError(error);
  const ours = isGranuleError(error);
  const fastifyStatus = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  const status = ours ? ERROR_TABLE[error.code].httpStatus : fastifyStatus;
  if (status >= 500) log.error({ code: shown.code, reason: shown.message }, 'request failed');
  return reply.code(status).type('application/json').send({ schema: 1, error: shown });
}

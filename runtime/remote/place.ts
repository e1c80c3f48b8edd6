/** Places as users and catalogues write them: paths, `file:`, `http(s):`, `root:` and `granule+http(s):` URLs. */
import { fileURLToPath } from 'node:url';
import { GranuleError } from '../../core/errors.ts';
import { type Guid, tryGuid } from '../../core/ids.ts';

export type Place =
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'http'; readonly url: URL }
  | {
      readonly kind: 'event-server';
      /** the server's address without the file */
      readonly server: URL;
      readonly guid: Guid;
    };

/** XRootD's registered port. */
const XROOTD_PORT = '1094';

export function isRemotePlace(text: string): boolean {
  return /^(?:https?|root|roots|xroot|xroots|granule\+https?):\/\//i.test(text);
}

/** With what would end it in running text escaped, so that it is found there as a whole. */
export function escapedPlace(text: string): string {
  return isRemotePlace(text) ? text.replace(/[\s"<>\\]/g, encodeURIComponent) : text;
}

/**
 * Several places for one text only for `root:`: XRootD servers offer HTTP on the port of their own protocol, or on
 * 443, and both are tried as replicas of each other.
 *
 * @throws CONFIG_INVALID for a scheme granule does not read or an address it cannot make sense of
 */
export function parsePlace(text: string): Place[] {
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(text)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return [{ kind: 'local', path: text }];
    case 'file':
      return [{ kind: 'local', path: filePath(text) }];
    case 'http':
    case 'https':
      return [{ kind: 'http', url: parseUrl(text) }];
    case 'root':
    case 'roots':
    case 'xroot':
    case 'xroots':
      return xrootdOverHttp(text);
    case 'granule+http':
    case 'granule+https':
      return [eventServerPlace(text)];
    default:
      throw invalid(text, `granule does not read ${scheme}: places`);
  }
}

/** POOL catalogues name files relative to the current folder as `file:name`, which is no URL (RFC 8089). */
function filePath(text: string): string {
  const [, relative] = /^file:([^/].*)$/i.exec(text) ?? [];
  if (relative !== undefined) return relative;
  const url = parseUrl(text);
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw invalid(text, 'it names a file of another machine', error);
  }
}

/** `root://host[:port]//absolute/path[?opaque]`: the second slash begins the path on the server. */
function xrootdOverHttp(text: string): Place[] {
  const match = /^x?roots?:\/\/(?:[^@/]*@)?([^/?]+)\/(.*)$/i.exec(text);
  if (match === null) throw invalid(text, 'a root: place is root://host[:port]//path');
  const [, authority = '', rest = ''] = match;
  const path = `/${rest.replace(/^\/+/, '')}`;
  const host = authority.replace(/:\d+$/, '');
  const ownPort = parseUrl(`https://${/:\d+$/.test(authority) ? authority : `${authority}:${XROOTD_PORT}`}${path}`);
  const standardPort = parseUrl(`https://${host}${path}`);
  return [
    { kind: 'http', url: ownPort },
    { kind: 'http', url: standardPort },
  ];
}

function eventServerPlace(text: string): Place {
  const url = parseUrl(text.slice('granule+'.length));
  const segments = url.pathname.split('/').filter((segment) => segment !== '');
  const guid = tryGuid(segments.pop() ?? '');
  if (guid === undefined) throw invalid(text, 'an event server place is granule+http://host:port/GUID');
  const server = new URL(url);
  server.pathname = segments.length === 0 ? '/' : `/${segments.join('/')}/`;
  return { kind: 'event-server', server, guid };
}

function parseUrl(text: string): URL {
  // No cause: that of Node holds the whole text, password and all. What stands before an @ may be one.
  if (!URL.canParse(text)) throw invalid(text.replace(/\/\/.*@/s, '//'), 'it is not a URL');
  return new URL(text);
}

function invalid(text: string, problem: string, cause?: unknown): GranuleError {
  return new GranuleError('CONFIG_INVALID', `"${text}" cannot be read: ${problem}`, {
    details: { place: text },
    remedy: 'Give a path, or a URL beginning with file:, http:, https:, root: or granule+http:.',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A URL as it may be shown: user names, passwords and query strings (which carry signatures and tokens) left out. */
export function showUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}${url.search === '' ? '' : '?…'}`;
}

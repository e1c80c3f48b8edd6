/**
 * Addresses as they may be shown and kept: users and catalogues put passwords, tokens and presigned signatures into them,
 * and manifests, catalogues and logs are passed on. What is left names the same file whoever reads it and however often a
 * signature is renewed.
 *
 * A user name with its password is left out, and so are parameters with the name of a secret, or of what is renewed with
 * one. Of any other value that is long enough to be a secret, a hash is left: places that differ in it stay different.
 */
import { percentDecoded } from './percent-encoding.ts';

/** An address in running text, from `://` on. */
const ADDRESS = /:\/\/[^\s"<>\\]+/g;

/** What ends a sentence or a list, and not an address. */
const AFTER_ADDRESS = /[.,:;)\]]+$/;

/**
 * Names, in part or whole, as in OAuth 2.0 (RFC 6750), the signed addresses of AWS, Google, Azure, OSS and CloudFront, and
 * the opaque parts of XRootD and EOS addresses.
 */
const SECRET_NAME =
  /token|auth|secret|signature|passw|passphrase|credential|session|ticket|macaroon|jwt|api_?-?key|key-?_?(?:pair-)?id$|accessid$|^(?:x-(?:amz|goog|oss|cos)-.*|cap\..*|sig|sign|pass|pw|pwd|key|code|user|policy|expires|expiry|se|st|ske|skt)$/i;

const HARMLESS_LENGTH_MAX = 20;

/** Any text, with the addresses in it as they may be shown. Twice is harmless. */
export function withoutSecrets(text: string): string {
  if (!text.includes('://')) return text;
  return text.replace(ADDRESS, (address) => {
    const end = AFTER_ADDRESS.exec(address)?.[0] ?? '';
    return cleanAddress(address.slice(0, address.length - end.length)) + end;
  });
}

/** A path, which is left as it is, or a URL as it may be shown. Twice is harmless. */
export function placeWithoutSecrets(place: string): string {
  const [scheme = ''] = /^[a-z][a-z0-9+.-]*(?=:\/\/)/i.exec(place) ?? [];
  return scheme === '' ? place : scheme + cleanAddress(place.slice(scheme.length));
}

/** Plain values of any depth. */
export function valuesWithoutSecrets(value: unknown): unknown {
  if (typeof value === 'string') return withoutSecrets(value);
  if (Array.isArray(value)) return value.map(valuesWithoutSecrets);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, valuesWithoutSecrets(inner)]));
}

/** @param address from `://` on */
function cleanAddress(address: string): string {
  const rest = address.slice('://'.length);
  const [authority = ''] = /^[^/?#]*/.exec(rest) ?? [];
  const [path = ''] = /^[^?#]*/.exec(rest.slice(authority.length)) ?? [];
  const query = rest.slice(authority.length + path.length);
  return `://${authority.slice(authority.lastIndexOf('@') + 1)}${path}${cleanQuery(query)}`;
}

/** A fragment may hold parameters, too (RFC 6749, 4.2.2). */
function cleanQuery(query: string): string {
  return query.replace(/([?#])([^?#]*)/g, (_, mark: string, parameters: string) => {
    const kept = parameters.split('&').flatMap(cleanParameter);
    return kept.length === 0 ? '' : mark + kept.join('&');
  });
}

function cleanParameter(parameter: string): string[] {
  const [, name = '', value = parameter] = /^([^=]*)=(.*)$/s.exec(parameter) ?? [];
  if (SECRET_NAME.test(percentDecoded(name))) return [];
  if (value.length <= HARMLESS_LENGTH_MAX) return [parameter];
  return [`${parameter.slice(0, parameter.length - value.length)}…${fnv1a(value)}`];
}

/** FNV-1a (draft-eastlake-fnv), 32 bits: tells values apart, and says less of them than they have. */
function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

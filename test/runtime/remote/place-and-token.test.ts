/** Places as users write them, and which server may see the bearer token. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fullJitterMs, retryAfterMs } from '../../../runtime/remote/backoff.ts';
import { BearerTokens, findBearerToken, isMeantFor } from '../../../runtime/remote/bearer-token.ts';
import { HttpSource } from '../../../runtime/remote/http-source.ts';
import { escapedPlace, isRemotePlace, parsePlace, showUrl } from '../../../runtime/remote/place.ts';
import { FaultServer } from './fault-server.ts';
import { createClient, failureOf, never } from './remote-fixtures.ts';

describe('parsePlace', () => {
  it.each([
    ['data/a.hepmc', ['local data/a.hepmc']],
    ['file:///data/a%20b', ['local /data/a b']],
    ['file:/data/a.root', ['local /data/a.root']],
    ['file:a.root', ['local a.root']],
    ['https://host/a?x=1', ['http https://host/a?x=1']],
    [
      'root://eos.cern.ch//eos/a.root',
      ['http https://eos.cern.ch:1094/eos/a.root', 'http https://eos.cern.ch/eos/a.root'],
    ],
    ['root://user@h:2000//a?b=c', ['http https://h:2000/a?b=c', 'http https://h/a?b=c']],
    [
      'granule+http://h:80/p/5a1c0c2e-90c8-d743-8b5d-0b0c9b2a9c11',
      ['event-server http://h/p/ 5A1C0C2E-90C8-D743-8B5D-0B0C9B2A9C11'],
    ],
  ])('reads %s', (text, expected) => {
    const places = parsePlace(text).map((place) => {
      if (place.kind === 'local') return `local ${place.path}`;
      return place.kind === 'http' ? `http ${place.url.href}` : `event-server ${place.server.href} ${place.guid}`;
    });
    expect(places).toEqual(expected);
    expect(isRemotePlace(text)).toBe(!places[0]?.startsWith('local'));
  });

  it.each(['s3://bucket/key', 'file://elsewhere/a', 'http://', 'root://host', 'granule+http://h/not-a-guid'])(
    'refuses %s',
    (text) => {
      expect(() => parsePlace(text)).toThrow(/cannot be read/);
    },
  );

  it('escapes what would end a place in running text', () => {
    expect(escapedPlace('https://h/a b?c="d"\n')).toBe('https://h/a%20b?c=%22d%22%0A');
    expect(escapedPlace('a b')).toBe('a b');
  });

  it('does not repeat a password of what it cannot read', () => {
    for (const text of ['https://us:secret/@h/a', 'https://us:secret@', 'root://us:secret@h', 'file://us:secret@h/a']) {
      const failure = (() => {
        try {
          return String(parsePlace(text).length);
        } catch (error) {
          return inspect(error);
        }
      })();
      expect(failure).toContain('cannot be read');
      expect(failure).not.toContain('secret');
    }
  });

  it('shows no password, signature or token of a URL', () => {
    expect(showUrl(new URL('https://user:secret@h/a?authz=secret'))).toBe('https://h/a?…');
  });
});

describe('bearer tokens', () => {
  let folder: string;
  const uid = process.getuid?.() ?? 0;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'granule-token-'));
    await writeFile(join(folder, `bt_u${uid}`), 'from-runtime-dir\n');
    await writeFile(join(folder, 'named'), ' from-file \n');
  });

  afterEach(() => rm(folder, { recursive: true }));

  it('are found in the order of the WLCG specification', async () => {
    const environment = {
      BEARER_TOKEN: 'from-variable',
      BEARER_TOKEN_FILE: join(folder, 'named'),
      XDG_RUNTIME_DIR: folder,
    };
    expect(await findBearerToken(environment)).toBe('from-variable');
    expect(await findBearerToken({ ...environment, BEARER_TOKEN: ' ' })).toBe('from-file');
    expect(await findBearerToken({ XDG_RUNTIME_DIR: folder })).toBe('from-runtime-dir');
    expect(await findBearerToken({ BEARER_TOKEN_FILE: join(folder, 'missing') })).toBeUndefined();
  });

  it('go to the origins the user named only, and over https or to this machine only', async () => {
    const tokens = new BearerTokens({ BEARER_TOKEN: 't' }, false);
    for (const origin of ['https://a.org', 'http://a.org', 'http://127.0.0.1:8000']) tokens.trust(origin);
    const sentTo = async (url: string): Promise<boolean> =>
      (await tokens.authorizationFor(new URL(url), 0)) === 'Bearer t';
    expect(await sentTo('https://a.org/x')).toBe(true);
    expect(await sentTo('https://b.org/x')).toBe(false);
    expect(await sentTo('http://a.org/x')).toBe(false);
    expect(await sentTo('http://127.0.0.1:8000/x')).toBe(true);
  });

  it('give way to a user name and password of the address', async () => {
    const tokens = new BearerTokens({ BEARER_TOKEN: 't' }, false);
    const sentTo = (url: string): Promise<string | undefined> => tokens.authorizationFor(new URL(url), 0);
    expect(await sentTo('https://us%3aer:p%40%zz@a.org/x')).toBe(
      `Basic ${Buffer.from('us:er:p%40%zz').toString('base64')}`,
    );
    expect(await sentTo('https://us:p%40@a.org/x')).toBe(`Basic ${Buffer.from('us:p@').toString('base64')}`);
    expect(await sentTo('http://us:p@a.org/x')).toBeUndefined();
  });

  it('are kept from hosts that are not their audience', () => {
    const token = (aud: unknown): string => `e30.${Buffer.from(JSON.stringify({ aud })).toString('base64url')}.x`;
    const url = new URL('https://dcache.example.org:2880/f');
    expect(isMeantFor('opaque', url)).toBe(true);
    expect(isMeantFor(token(undefined), url)).toBe(true);
    expect(isMeantFor(token('https://wlcg.cern.ch/jwt/v1/any'), url)).toBe(true);
    expect(isMeantFor(token(['https://dcache.example.org']), url)).toBe(true);
    expect(isMeantFor(token('dcache.example.org:2880'), url)).toBe(true);
    expect(isMeantFor(token('some-client'), url)).toBe(true);
    expect(isMeantFor(token('https://other.example.org'), url)).toBe(false);
  });

  it('do not follow a redirect to another origin and appear in no error', async () => {
    const [front, pool] = await Promise.all([FaultServer.start({ '/f': Buffer.from('x') }), FaultServer.start({})]);
    const client = createClient({ tokenEnvironment: { BEARER_TOKEN: 'very-secret' } });
    try {
      front.faults = () => [{ kind: 'redirect', to: pool.url('/f').href }];
      const failure = await failureOf(new HttpSource(client, front.url('/f')).open(never));
      expect(failure).not.toContain('very-secret');
      expect(front.seen[0]?.headers.authorization).toBe('Bearer very-secret');
      expect(pool.seen[0]?.headers.authorization).toBeUndefined();
    } finally {
      await client.close();
      await Promise.all([front.kill(), pool.kill()]);
    }
  });
});

describe('pauses', () => {
  it('are drawn below a doubling bound', () => {
    const policy = { backoffBaseMs: 100, backoffMaxMs: 1000 };
    expect([1, 2, 3, 4, 5].map((tries) => fullJitterMs(tries, policy, 0.5))).toEqual([100, 200, 400, 500, 500]);
  });

  it.each([
    ['3', 3000],
    ['9999999', 60_000],
    ['Thu, 01 Jan 1970 00:00:05 GMT', 4000],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['soon', undefined],
    [undefined, undefined],
  ])('honour Retry-After: %s', (header, expected) => {
    expect(retryAfterMs(header, 1000)).toBe(expected);
  });
});

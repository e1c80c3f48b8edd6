/** Proxies and certificates, with a real proxy and a real TLS server of our own authority. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { HttpSource } from '../../../runtime/remote/http-source.ts';
import { remoteOptionsFromEnvironment } from '../../../runtime/remote/remote-options.ts';
import { FaultServer } from './fault-server.ts';
import { createClient, failureOf, never } from './remote-fixtures.ts';

const closing: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return (server.address() as AddressInfo).port;
}

/** Forwards absolute requests and tunnels CONNECT, as squid does; `seen` says what was asked of it. */
async function startProxy(): Promise<{ readonly url: string; readonly seen: string[] }> {
  const seen: string[] = [];
  const proxy = createServer((incoming: IncomingMessage, response: ServerResponse) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    const onward = request(incoming.url ?? '', { headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.end();
  });
  proxy.on('connect', (incoming: IncomingMessage, socket) => {
    seen.push(`CONNECT ${incoming.url}`);
    const [host, port] = (incoming.url ?? '').split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [socket, onward]) end.on('error', () => end.destroy());
    closing.push(() => {
      onward.destroy();
      socket.destroy();
    });
  });
  return { url: `http://127.0.0.1:${await listen(proxy)}`, seen };
}

async function startOrigin(): Promise<FaultServer> {
  const origin = await FaultServer.start({ '/f': Buffer.from('0123456789') });
  closing.push(() => origin.kill());
  return origin;
}

function clientFor(options: Parameters<typeof createClient>[0]): ReturnType<typeof createClient> {
  const client = createClient(options);
  closing.push(() => client.close());
  return client;
}

describe('proxies', () => {
  it('are asked for plain http by the whole address, as curl does', async () => {
    const [origin, proxy] = [await startOrigin(), await startProxy()];
    const source = new HttpSource(clientFor({ httpProxy: proxy.url }), origin.url('/f'));
    expect(Buffer.from(await source.read({ offsetBytes: 3, lengthBytes: 2 }, never)).toString()).toBe('34');
    expect(proxy.seen[0]).toBe(`GET ${origin.url('/f').href}`);
  });

  it('may be named without their scheme, as for curl', async () => {
    const [origin, proxy] = [await startOrigin(), await startProxy()];
    const httpProxy = proxy.url.slice('http://'.length);
    await new HttpSource(clientFor({ httpProxy }), origin.url('/f')).open(never);
    expect(proxy.seen[0]).toBe(`GET ${origin.url('/f').href}`);
  });

  it.each(['socks5://user:secret@127.0.0.1:1080', 'http://', 'a b'])(
    'that are none (%s) are refused by the name of the variable',
    async (httpProxy) => {
      const source = new HttpSource(clientFor({ httpProxy }), new URL('http://127.0.0.1:9/f'));
      expect(await failureOf(source.open(never))).toBe(
        'CONFIG_INVALID: the environment variable http_proxy does not name an HTTP proxy',
      );
    },
  );

  it('are left out for the hosts of no_proxy', async () => {
    const [origin, proxy] = [await startOrigin(), await startProxy()];
    const source = new HttpSource(clientFor({ httpProxy: proxy.url, noProxy: '127.0.0.1' }), origin.url('/f'));
    await source.open(never);
    expect(proxy.seen).toEqual([]);
  });

  it('are taken from the environment in lower case, and HTTP_PROXY is not', () => {
    expect(
      remoteOptionsFromEnvironment({
        HTTP_PROXY: 'evil',
        http_proxy: 'a',
        HTTPS_PROXY: 'b',
        NO_PROXY: 'c',
        BEARER_TOKEN: 't',
      }),
    ).toEqual({
      httpProxy: 'a',
      httpsProxy: 'b',
      noProxy: 'c',
      tokenEnvironment: { BEARER_TOKEN: 't', BEARER_TOKEN_FILE: undefined, XDG_RUNTIME_DIR: undefined },
    });
    expect(remoteOptionsFromEnvironment({ HTTP_PROXY: 'evil' }).httpProxy).toBe('');
  });
});

const hasOpenssl = spawnSync('openssl', ['version'], { stdio: 'ignore' }).error === undefined;

describe.skipIf(!hasOpenssl)(hasOpenssl ? 'TLS' : 'TLS (openssl is not installed)', () => {
  async function startTls(): Promise<{ readonly url: URL; readonly certificate: string }> {
    const folder = mkdtempSync(join(tmpdir(), 'granule-tls-'));
    closing.push(() => rmSync(folder, { recursive: true }));
    const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=granule test', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const made = spawnSync('openssl', [
      'req',
      '-x509',
      '-nodes',
      '-days',
      '2',
      ...curve,
      '-keyout',
      key,
      '-out',
      certificate,
      ...subject,
    ]);
    expect(made.status).toBe(0);
    const server = createTlsServer(
      { key: readFileSync(key), cert: readFileSync(certificate) },
      (incoming, response) => {
        if (incoming.url === '/plain') response.writeHead(302, { location: 'http://127.0.0.1:9/f' }).end();
        else response.writeHead(206, { 'content-range': 'bytes 0-0/10', 'content-length': 1 }).end('0');
      },
    );
    const port = await listen(server as unknown as Server);
    return { url: new URL(`https://127.0.0.1:${port}/f`), certificate: readFileSync(certificate, 'utf8') };
  }

  it('refuses a certificate nobody vouches for, at once', async () => {
    const { url } = await startTls();
    const opening = new HttpSource(clientFor({}), url).open(never);
    await expect(opening).rejects.toMatchObject({ code: 'SOURCE_UNREACHABLE', details: { permanent: true } });
    expect(await failureOf(new HttpSource(clientFor({}), url).open(never))).toMatch(/certificate cannot be trusted/);
  });

  it("takes an authority of the user's own, also through a proxy", async () => {
    const { url, certificate } = await startTls();
    const direct = clientFor({ certificateAuthorities: certificate });
    expect(await new HttpSource(direct, url).open(never)).toMatchObject({ sizeBytes: 10 });
    const proxy = await startProxy();
    const proxied = clientFor({ certificateAuthorities: certificate, httpsProxy: proxy.url });
    expect(await new HttpSource(proxied, url).open(never)).toMatchObject({ sizeBytes: 10 });
    expect(proxy.seen).toEqual([`CONNECT ${url.host}`]);
  });

  it('does not follow a redirect from https to http unless told', async () => {
    const { url, certificate } = await startTls();
    const careful = clientFor({ certificateAuthorities: certificate });
    expect(await failureOf(new HttpSource(careful, new URL('/plain', url)).open(never))).toMatch(
      /from https to plain http/,
    );
    const told = clientFor({ certificateAuthorities: certificate, allowPlainHttp: true });
    expect(await failureOf(new HttpSource(told, new URL('/plain', url)).open(never))).toMatch(/refused/);
  });
});

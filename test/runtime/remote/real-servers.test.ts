/** The range reader against nginx and XRootD (Debian: nginx-light, xrootd-server), where they are installed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adler32 } from '../../../runtime/remote/adler32.ts';
import { HttpSource } from '../../../runtime/remote/http-source.ts';
import { collect, content, createClient, failureOf, never, scattered, slicesOf } from './remote-fixtures.ts';

const FILE = content(3_000_000);

function isInstalled(program: string, flag: string): boolean {
  return spawnSync(program, [flag], { stdio: 'ignore' }).error === undefined;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

interface RealServer {
  readonly url: URL;
  stop(): Promise<void>;
}

async function startServer(
  program: string,
  write: (folder: string, port: number) => Promise<readonly string[]>,
): Promise<RealServer> {
  const folder = await mkdtemp(join(tmpdir(), 'granule-server-'));
  await mkdir(join(folder, 'data'));
  await writeFile(join(folder, 'data', 'f'), FILE);
  // The server may give its rights up for those of somebody else.
  await Promise.all([chmod(folder, 0o777), chmod(join(folder, 'data'), 0o755)]);
  const port = await freePort();
  const child = spawn(program, await write(folder, port), { stdio: 'ignore', cwd: folder });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  // Also when the tests themselves are cut short: servers are nobody's children then.
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    kill();
    await ended;
    process.off('exit', kill);
    await rm(folder, { recursive: true });
  };
  const url = new URL(`http://127.0.0.1:${port}/f`);
  try {
    await answering(url, child);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

/** A server tells nobody when it is ready: it is asked until it answers. */
async function answering(url: URL, child: ChildProcess): Promise<void> {
  const client = createClient();
  try {
    for (let tries = 0; tries < 200 && child.exitCode === null; tries += 1) {
      const answered = await new HttpSource(client, url).open(never).catch(() => undefined);
      if (answered !== undefined) return;
      await pause(50);
    }
  } finally {
    await client.close();
  }
  throw new Error(`${url.href} does not answer`);
}

async function writeNginx(folder: string, port: number): Promise<readonly string[]> {
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  await writeFile(
    join(folder, 'nginx.conf'),
    `${user} daemon off; master_process off; error_log stderr; pid ${folder}/pid; events {}
     http { access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
       uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
       server { listen 127.0.0.1:${port}; root ${folder}/data; max_ranges 30; } }`,
  );
  return ['-p', folder, '-c', join(folder, 'nginx.conf')];
}

async function writeXrootd(folder: string, port: number): Promise<readonly string[]> {
  await mkdir(join(folder, 'admin'));
  await chmod(join(folder, 'admin'), 0o777);
  await writeFile(
    join(folder, 'xrootd.cfg'),
    `xrd.port ${await freePort()}
xrd.protocol XrdHttp:${port} libXrdHttp.so
all.export /
oss.localroot ${folder}/data
all.adminpath ${folder}/admin
all.pidpath ${folder}/admin
xrootd.chksum adler32
`,
  );
  const asNobody = process.getuid?.() === 0 ? ['-R', 'nobody'] : [];
  return ['-c', join(folder, 'xrootd.cfg'), ...asNobody, '-l', join(folder, 'log'), '-n', 'granule'];
}

const SERVERS = [
  { name: 'nginx', program: 'nginx', flag: '-v', write: writeNginx },
  { name: 'XRootD', program: 'xrootd', flag: '-v', write: writeXrootd },
];

for (const { name, program, flag, write } of SERVERS) {
  const installed = isInstalled(program, flag);
  describe.skipIf(!installed)(installed ? name : `${name} (not installed)`, () => {
    let server: RealServer | undefined;
    let url: URL;
    let client: ReturnType<typeof createClient>;

    beforeAll(async () => {
      client = createClient({ silenceMs: 5000 });
      server = await startServer(program, write);
      ({ url } = server);
    });

    afterAll(async () => {
      await client.close();
      await server?.stop();
    });

    it('says size and what to pin the file by', async () => {
      const identity = await new HttpSource(client, url, { askChecksums: true }).open(never);
      expect(identity.sizeBytes).toBe(FILE.length);
      expect(identity.validator).toBeDefined();
      for (const { algorithm, hex } of identity.checksums) {
        expect([algorithm, hex]).toEqual(['adler32', adler32(FILE).toString(16).padStart(8, '0')]);
      }
    });

    it('gives 200 ranges, in as many requests as it can take', async () => {
      const source = new HttpSource(client, url);
      const ranges = scattered(200, 14_000, 1_000);
      const results = await source.readMany(ranges, never);
      expect(slicesOf(FILE, ranges).every((bytes, index) => bytes.equals(results[index] ?? Buffer.alloc(0)))).toBe(
        true,
      );
    });

    it('gives long ranges and whole streams, from any offset', async () => {
      const source = new HttpSource(client, url);
      const long = await source.read({ offsetBytes: 5, lengthBytes: 2_500_000 }, never);
      expect(FILE.subarray(5, 2_500_005).equals(long)).toBe(true);
      expect(FILE.subarray(1_234_567).equals(await collect(source.stream(1_234_567, never)))).toBe(true);
    });

    it('says that a file does not exist', async () => {
      expect(await failureOf(new HttpSource(client, new URL('/none', url)).open(never))).toMatch(/^INPUT_NOT_FOUND/);
    });
  });
}

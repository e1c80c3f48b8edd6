/**
 * The event server beside nginx: byte ranges of one file at random places, from the same client. Both run in a process
 * of their own, nginx with one worker and sendfile.
 */
import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { GranuleError } from '../../core/errors.ts';
import { builtModuleUrl } from '../../core/own-files.ts';
import { barChart } from '../pictures/bar-chart.ts';
import { measureRangeLoad } from '../range-load.ts';
import { defineScenario, type Picture, type ResultTable } from '../scenario.ts';
import { describeSummary, interleave, type Measure, median, ratios } from '../statistics.ts';

export interface ServedFileRequest {
  readonly path: string;
  readonly indexFolder: string;
}

/** Where a server has the file. */
export interface ServedFileAnswer {
  readonly port: number;
  readonly path: string;
}

type Server = 'granule' | 'nginx';

/** Ranges of an event, of a prefetch request, of a large one. */
const SIZES = [
  ['50kB', 50_000],
  ['1MB', 1_000_000],
  ['4MB', 4_000_000],
] as const;
const LINE_BYTES = 50_000;

export const scenario = defineScenario({
  summary: 'the event server beside nginx, giving byte ranges of one file',
  options: {
    megabytes: { help: 'bytes asked for in each measurement, in MB', default: 2000, quick: 400 },
    file: { help: 'size of the file in MB', default: 200, quick: 100 },
    connections: { help: 'connections at the same time', default: 4 },
  },
  async run(context) {
    const { options, repeats, signal } = context;
    const folder = join(context.folders.memory ?? context.folders.disk, 'http');
    mkdirSync(folder);
    const children: ChildProcess[] = [];
    try {
      const path = join(folder, 'events.ndjson');
      const fileBytes = writeFile(path, options.file * 1e6);
      const granule = await startEventServer({ path, indexFolder: join(folder, 'index') }, children);
      const nginx = await startNginx(folder, children);
      const servers = { granule, nginx };
      const variants: readonly Server[] = nginx === undefined ? ['granule'] : ['granule', 'nginx'];
      const results = new Map<string, Readonly<Record<Server, readonly number[]>>>();
      for (const [title, rangeBytes] of SIZES) {
        const requestCount = Math.max(options.connections, Math.round((options.megabytes * 1e6) / rangeBytes));
        for (const variant of variants) {
          const server = servers[variant];
          if (server === undefined) continue;
          const warmUp = { ...server, fileBytes, rangeBytes, connectionCount: options.connections, requestCount };
          await measureRangeLoad(warmUp, signal);
        }
        const measured = await interleave(variants, repeats, async (variant, round) => {
          context.progress(`${title}: ${variant}, round ${round + 1} of ${repeats}`);
          const server = servers[variant];
          if (server === undefined) return 0;
          const load = { ...server, fileBytes, rangeBytes, connectionCount: options.connections, requestCount };
          const { bodyBytes, wallMs } = await measureRangeLoad(load, signal);
          return bodyBytes / 1e6 / (wallMs / 1000);
        });
        results.set(title, { granule: measured.granule, nginx: measured.nginx ?? [] });
      }
      return {
        values: {
          MBPerSecond: Object.fromEntries([...results].map(([title, of]) => [title, median(of.granule)])),
          throughputToNginx:
            nginx === undefined
              ? null
              : Object.fromEntries([...results].map(([title, of]) => [title, median(ratios(of.granule, of.nginx))])),
        },
        measures: [...results].flatMap(([title, of]): Measure[] => [
          { name: `${title}.MBPerSecond`, unit: 'MB/s', better: 'higher', values: of.granule },
          ...(nginx === undefined
            ? []
            : [
                {
                  name: `${title}.throughputToNginx`,
                  unit: 'ratio',
                  better: 'higher' as const,
                  values: ratios(of.granule, of.nginx),
                },
              ]),
        ]),
        tables: [tableOf(results)],
        pictures: [pictureOf(results)],
        notes: [
          nginx === undefined
            ? 'nginx is not installed: there is nothing to compare with.'
            : 'nginx: one worker, sendfile on.',
          'The client reads into one buffer per connection and looks at headers only; all three share the machine.',
          `The file lies on ${context.folders.memory === null ? 'disk, in the page cache' : 'a memory file system'}.`,
          'Warm-up: one round of each size and server, not counted.',
        ],
      };
    } finally {
      for (const child of children) child.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    }
  },
});

/** One event a line. */
function writeFile(path: string, sizeBytes: number): number {
  const count = Math.ceil(sizeBytes / LINE_BYTES);
  const lines = Array.from({ length: count }, (_, event) => {
    const head = `{"event":${event},"pad":"`;
    return `${head}${'x'.repeat(LINE_BYTES - head.length - 3)}"}\n`;
  });
  writeFileSync(path, lines.join(''));
  return count * LINE_BYTES;
}

function startEventServer(request: ServedFileRequest, children: ChildProcess[]): Promise<ServedFileAnswer> {
  const child = fork(fileURLToPath(builtModuleUrl('bench/event-server.child.ts')), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  children.push(child);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (answer) => resolve(answer as ServedFileAnswer));
    child.once('exit', () => reject(new GranuleError('INTERNAL', 'the event server ended')));
    child.send(request);
  });
}

/** Undefined where nginx is not installed. */
async function startNginx(folder: string, children: ChildProcess[]): Promise<ServedFileAnswer | undefined> {
  if (spawnSync('nginx', ['-v'], { stdio: 'ignore' }).error !== undefined) return undefined;
  const port = await freePort();
  const configuration = join(folder, 'nginx.conf');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  writeFileSync(
    configuration,
    `${user} daemon off; master_process off; error_log stderr; pid ${folder}/nginx.pid; events {}
     http { access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path ${folder}/a;
       proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c; uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
       server { listen 127.0.0.1:${port}; root ${folder}; } }`,
  );
  const child = spawn('nginx', ['-p', folder, '-c', configuration], { stdio: 'ignore' });
  children.push(child);
  const path = '/events.ndjson';
  for (let tries = 0; tries < 100 && child.exitCode === null; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'HEAD' }).catch(() => undefined);
    if (answer?.status === 200) return { port, path };
    await delay(50);
  }
  throw new GranuleError('INTERNAL', 'nginx does not answer');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

type Rates = ReadonlyMap<string, Readonly<Record<Server, readonly number[]>>>;

const rate = (value: number): string => `${Math.round(value)} MB/s`;

function pictureOf(results: Rates): Picture {
  const title = 'byte ranges at random places: MB per second';
  const bars = [...results].flatMap(([size, { granule, nginx }]) => [
    { label: `${size}, event server`, values: granule },
    { label: `${size}, nginx`, values: nginx },
  ]);
  return { title, svg: barChart({ title, bars, format: rate }) };
}

function tableOf(results: Rates): ResultTable {
  return {
    title: 'byte ranges at random places',
    columns: [
      { title: 'range' },
      { title: 'event server', align: 'right' },
      { title: 'nginx', align: 'right' },
      { title: 'ratio', align: 'right' },
    ],
    rows: [...results].map(([title, { granule, nginx }]) => [
      title,
      describeSummary(granule, rate),
      nginx.length === 0 ? 'absent' : describeSummary(nginx, rate),
      nginx.length === 0 ? '' : median(ratios(granule, nginx)).toFixed(2),
    ]),
  };
}

/** For tests: real workers fed by a real scatterer with tokens of one NDJSON file, without dispatcher or extractor. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HEAP_MB_DEFAULT, HOOK_TIMEOUT_MS_DEFAULT } from '../../core/limits.ts';
import { silentLogger } from '../../core/log.ts';
import type { FromWorker, RangeReport, RangeToken, SequenceRule, ToWorker } from '../../core/messages.ts';
import type { OutputDeclarations } from '../../payloads/payload.ts';
import { ServerChannel } from '../../runtime/channel/channel.ts';
import { LocalAddresses } from '../../runtime/channel/local-addresses.ts';
import type { TimeoutRule } from '../../runtime/options/option-rules.ts';
import { Supervisor } from '../../runtime/pool/supervisor.ts';
import { WorkerPool } from '../../runtime/pool/worker-pool.ts';
import { TokenScatterer } from '../../runtime/scattering/token-scatterer.ts';

export interface FlowOptions {
  /** source of the payload module: plain JavaScript, `export default { … }` */
  readonly payload: string;
  readonly eventCount: number;
  readonly workerCount?: number;
  readonly outputs?: OutputDeclarations;
  readonly sequence?: SequenceRule;
  readonly timeout?: TimeoutRule;
  readonly isolation?: 'thread' | 'process';
  readonly heapMaxMB?: number;
  /** events per range */
  readonly perRange?: number;
  readonly outputBytesMax?: number;
}

export interface FlowResult {
  /** by rangeIndex: the last report of each range */
  readonly reports: ReadonlyMap<number, RangeReport>;
  /** why workers died, in order */
  readonly deaths: readonly string[];
  readonly aggregationFolder: string;
  readonly folder: string;
  cleanUp(): void;
}

/** Runs every event once (no retries) and resolves when all ranges are reported and all sessions are over. */
export async function runFlow(options: FlowOptions): Promise<FlowResult> {
  const folder = mkdtempSync(join(tmpdir(), 'granule-flow-'));
  const lines = Array.from({ length: options.eventCount }, (_, index) => `{"n":${index + 1}}\n`);
  const inputPath = join(folder, 'events.ndjson');
  writeFileSync(inputPath, lines.join(''));
  const payloadPath = join(folder, 'payload.mjs');
  writeFileSync(payloadPath, options.payload);
  const aggregationFolder = join(folder, 'unmerged');
  mkdirSync(aggregationFolder);

  const addresses = await LocalAddresses.create();
  const address = addresses.address('workers');
  const channel = await ServerChannel.bind<FromWorker, ToWorker>(address);
  const reports = new Map<number, RangeReport>();
  const deaths: string[] = [];
  const tokens = tokensOf(lines, options.perRange ?? 1);
  let settle: { resolve(): void; reject(error: unknown): void } | undefined;
  const allReported = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });

  const pool = new WorkerPool(
    {
      workerCount: options.workerCount ?? 2,
      workersFolder: join(folder, 'workers'),
      isolation: options.isolation ?? 'thread',
      heapMaxMB: options.heapMaxMB ?? HEAP_MB_DEFAULT,
    },
    silentLogger,
  );
  const scatterer: TokenScatterer = new TokenScatterer(
    channel,
    {
      onReports: (some) => {
        supervisor.noteReports(some);
        for (const report of some) reports.set(report.rangeIndex, report);
        if (reports.size === tokens.length) settle?.resolve();
      },
      onWorkerReady: (workerIndex) => pool.noteReady(workerIndex),
      onTokensGiven: () => undefined,
      onInitFailed: (workerIndex, error) => pool.noteInitFailed(workerIndex, error),
      onLeave: (workerIndex, reason) => pool.noteLeft(workerIndex, reason !== 'end'),
      onHungry: () => undefined,
      onFatal: (error) => settle?.reject(error),
    },
    { failuresMax: 3, log: silentLogger },
  );
  const supervisor: Supervisor = new Supervisor(scatterer, pool, {
    timeout: options.timeout ?? { kind: 'off' },
    hookTimeoutMs: HOOK_TIMEOUT_MS_DEFAULT,
    speculate: false,
  });
  const served = scatterer.serve();
  scatterer.addFile({
    fileIndex: 0,
    guid: '00000000-0000-8000-8000-000000000001',
    lfn: 'events.ndjson',
    format: 'ndjson',
    path: inputPath,
    runSegments: [],
    runHeaders: null,
  });
  pool.start(
    {
      channelAddress: address,
      payloadUrl: pathToFileURL(payloadPath).href,
      payloadOptions: {},
      outputs: options.outputs ?? { OUT: { format: 'ndjson' } },
      shared: undefined,
      taskID: 1,
      jobID: 1,
      taskSeed: 1,
      aggregationFolder,
      sequence: options.sequence ?? { at: 'EndEvent' },
      outputBytesMax: options.outputBytesMax ?? 1_000_000,
      logLevel: 'info',
      recycleEvents: 0,
      recycleMemoryBytes: 0,
      processingTag: 'test',
    },
    {
      onSession: (peer, { workerIndex, board }) => {
        board.setTimeoutMs(supervisor.timeoutMs);
        scatterer.expect(peer, workerIndex, board, 'all');
      },
      onDeath: ({ peer, failure }) => {
        deaths.push(failure.cause);
        scatterer.lose(peer, () => failure);
      },
      onFatal: (error) => settle?.reject(error),
    },
  );
  scatterer.add(tokens, []);
  supervisor.start();
  try {
    await allReported;
    scatterer.end();
    await pool.sessionsOver();
  } finally {
    scatterer.end();
    pool.terminateAll({ cause: 'cancelled', message: 'the test is over', logTail: [] });
    await pool.sessionsOver();
    supervisor.stop();
    await channel.close();
    await served;
    await pool.close();
    await addresses[Symbol.asyncDispose]();
  }
  return {
    reports,
    deaths,
    aggregationFolder,
    folder,
    cleanUp: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function tokensOf(lines: readonly string[], perRange: number): RangeToken[] {
  const tokens: RangeToken[] = [];
  let offsetBytes = 0;
  for (let start = 0; start < lines.length; start += perRange) {
    const events = lines.slice(start, start + perRange);
    let relative = 0;
    const cuts = events.flatMap((line) => {
      const cut = [relative, line.length];
      relative += line.length;
      return cut;
    });
    tokens.push({
      rangeIndex: tokens.length,
      attemptNr: 1,
      fileIndex: 0,
      startEvent: start + 1,
      lastEvent: start + events.length,
      failures: 0,
      offsetBytes,
      lengthBytes: relative,
      cuts: events.length === 1 ? null : cuts,
      frame: -1,
      failedEvents: null,
      suspect: false,
    });
    offsetBytes += relative;
  }
  return tokens;
}

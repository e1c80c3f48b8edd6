/**
 * BullMQ: one job per event, as many worker threads as granule has workers, a Redis server of our own with its append-only
 * file flushed every second. Adding the jobs is not counted.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker as Thread, workerData } from 'node:worker_threads';
import { ABSENT, answer, nowMs, writeEventFile } from './write-file.mjs';

const QUEUE = 'events';
const JOBS_AT_ONCE = 32;
const JOBS_PER_ADD = 1000;

const bullmq = await import('bullmq').catch(() => process.exit(ABSENT));
if (isMainThread) await main(JSON.parse(process.argv[2]));
else work(workerData);

function work({ folder, sizeBytes, socket, thread }) {
  const worker = new bullmq.Worker(
    QUEUE,
    async (job) => writeEventFile(folder, `bullmq-${thread}`, job.data, sizeBytes),
    { connection: { path: socket, maxRetriesPerRequest: null }, concurrency: JOBS_AT_ONCE, autorun: false },
  );
  let done = 0;
  worker.on('completed', () => {
    done += 1;
    if (done % 16 === 0) parentPort.postMessage([nowMs(), 16]);
  });
  parentPort.on('message', async (message) => {
    if (message === 'go') worker.run();
    else {
      if (done % 16 > 0) parentPort.postMessage([nowMs(), done % 16]);
      await worker.close();
      parentPort.close();
    }
  });
  worker.waitUntilReady().then(() => parentPort.postMessage('ready'));
}

async function main({ folder, fileCount, sizeBytes, threadCount }) {
  const redisFolder = join(folder, 'redis');
  mkdirSync(redisFolder, { recursive: true });
  const socket = join(redisFolder, 'socket');
  const redis = await startRedis(redisFolder, socket);
  const queue = new bullmq.Queue(QUEUE, {
    connection: { path: socket, maxRetriesPerRequest: null },
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  for (let first = 0; first < fileCount; first += JOBS_PER_ADD) {
    const count = Math.min(JOBS_PER_ADD, fileCount - first);
    await queue.addBulk(Array.from({ length: count }, (_, index) => ({ name: 'event', data: first + index })));
  }
  const threads = Array.from(
    { length: threadCount },
    (_, thread) =>
      new Thread(new URL(import.meta.url), {
        workerData: { folder, sizeBytes, socket, thread },
        argv: process.argv.slice(2),
      }),
  );
  await Promise.all(threads.map((thread) => new Promise((resolve) => thread.once('message', resolve))));
  const timeline = [];
  let done = 0;
  const startMs = nowMs();
  for (const thread of threads) {
    thread.on('message', ([timeMs, count]) => {
      done += count;
      timeline.push([timeMs, done]);
    });
    thread.postMessage('go');
  }
  await drained(queue);
  const ended = threads.map((thread) => new Promise((resolve) => thread.once('exit', resolve)));
  for (const thread of threads) thread.postMessage('end');
  await Promise.all(ended);
  await queue.close();
  redis.kill();
  answer(startMs, timeline);
}

async function drained(queue) {
  for (;;) {
    const counts = await queue.getJobCounts('wait', 'active', 'prioritized', 'paused');
    if (Object.values(counts).every((count) => count === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function startRedis(folder, socket) {
  return new Promise((resolve) => {
    const redis = spawn(
      'redis-server',
      ['--port', '0', '--unixsocket', socket, '--dir', folder, '--appendonly', 'yes', '--appendfsync', 'everysec'],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    redis.on('error', () => process.exit(ABSENT));
    redis.stdout.setEncoding('utf8').on('data', (text) => {
      if (/ready to accept connections/i.test(text)) resolve(redis);
    });
    process.on('exit', () => redis.kill('SIGKILL'));
  });
}

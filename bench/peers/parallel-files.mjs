/** GNU parallel: one job per event, each a shell that writes a file and renames it, with a job log as its record. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ABSENT, answer, nowMs } from './write-file.mjs';

const SHARD = 1024;
const { folder, fileCount, sizeBytes, threadCount } = JSON.parse(process.argv[2]);
if (!/GNU parallel/.test(String(spawnSync('parallel', ['--version']).stdout))) process.exit(ABSENT);

const record = join(folder, 'record');
writeFileSync(
  record,
  Uint8Array.from({ length: sizeBytes }, (_, at) => at & 0xff),
);
for (let shard = 0; shard * SHARD < fileCount; shard += 1) {
  mkdirSync(join(folder, 'files', String(shard)), { recursive: true });
}
const job = [
  `cat "${record}" > "${folder}/writing-$$"`,
  `mv "${folder}/writing-$$" "${folder}/files/$(( {} / ${SHARD} ))/OUT.1-1-1-{}-1"`,
  'echo {}',
].join(' && ');

const startMs = nowMs();
const timeline = [];
let done = 0;
const child = spawn('parallel', ['--will-cite', '-j', String(threadCount), '--joblog', join(folder, 'joblog'), job], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
child.stdout.setEncoding('utf8').on('data', (text) => {
  done += text.split('\n').length - 1;
  timeline.push([nowMs(), done]);
});
child.on('close', (code) => {
  if (code !== 0 || done !== fileCount) process.exit(1);
  answer(startMs, timeline);
});
child.stdin.end(Array.from({ length: fileCount }, (_, index) => `${index}\n`).join(''));

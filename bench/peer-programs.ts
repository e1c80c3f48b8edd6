/**
 * What a user might take instead of granule: each peer is a small program in `bench/peers`, run as a child process that
 * does the same work (write and rename the same files) and prints its timeline. A peer that is not installed is absent,
 * not an error.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFileUrl } from '../core/own-files.ts';
import type { FileWork } from './bare-loop.ts';
import { steadyRate, type Timeline } from './steady-rate.ts';

export const PEERS = ['bullmq', 'dask', 'parallel'] as const;
export type Peer = (typeof PEERS)[number];

/** A peer's program ends with this code when something it needs is not installed. */
const ABSENT_EXIT_CODE = 69;

/** Interpreters to try in turn: the system's Python has what the system's packages brought. */
const PROGRAMS: Readonly<Record<Peer, { readonly commands: readonly string[]; readonly script: string }>> = {
  bullmq: { commands: [process.execPath], script: 'bullmq-files.mjs' },
  dask: { commands: ['python3', '/usr/bin/python3'], script: 'dask-files.py' },
  parallel: { commands: [process.execPath], script: 'parallel-files.mjs' },
};

/** In the source tree only. */
const PEERS_FOLDER = fileURLToPath(packageFileUrl('bench/peers/'));

interface PeerAnswer {
  readonly startMs: number;
  readonly timeline: Timeline;
}

/** Files per second; null when the peer is not installed. Rejects when it fails. */
export async function measurePeer(peer: Peer, work: FileWork, signal: AbortSignal): Promise<number | null> {
  const { commands, script } = PROGRAMS[peer];
  const path = join(PEERS_FOLDER, script);
  if (!existsSync(path)) return null;
  for (const command of commands) {
    const ended = await runProgram(command, [path, JSON.stringify(work)], signal);
    if (ended === undefined || ended.code === ABSENT_EXIT_CODE) continue;
    if (ended.code !== 0) throw new Error(`${peer} failed with exit code ${ended.code}: ${ended.stderr.slice(-2000)}`);
    const { startMs, timeline } = JSON.parse(ended.stdout) as PeerAnswer;
    return steadyRate(timeline, startMs);
  }
  return null;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Undefined when there is no such command. */
function runProgram(command: string, args: readonly string[], signal: AbortSignal): Promise<Ended | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], signal });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

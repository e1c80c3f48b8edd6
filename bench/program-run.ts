/** The built program as its users run it: a process of its own, timed from outside, killed when that is wanted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { builtModuleUrl } from '../core/own-files.ts';
import { boardTimeMs } from '../runtime/board/board-clock.ts';

const PROGRAM = fileURLToPath(builtModuleUrl('runtime/cli/granule.ts'));
export const LOGGED_EVENTS = fileURLToPath(builtModuleUrl('bench/payloads/logged-events.ts'));

export interface ProgramRun {
  readonly child: ChildProcess;
  /** when the command was given, ms since the epoch */
  readonly startedMs: number;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** Starts `granule` with these arguments; aborting kills it. */
export function startProgram(args: readonly string[], signal: AbortSignal): ProgramRun {
  signal.throwIfAborted();
  const startedMs = boardTimeMs();
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      signal.removeEventListener('abort', kill);
      resolve({ code, stderr });
    });
  });
  return { child, startedMs, ended };
}

/** @throws when it ends with another exit code than 0 */
export async function runProgram(args: readonly string[], signal: AbortSignal): Promise<ProgramRun> {
  const run = startProgram(args, signal);
  const { code, stderr } = await run.ended;
  if (code !== 0) throw new Error(`granule ${args.join(' ')} ended with exit code ${code}: ${stderr.slice(-2000)}`);
  return run;
}

/** One line that the payload `logged-events` wrote. */
export interface LoggedExecution {
  readonly position: number;
  readonly worker: number;
  /** ms since the epoch */
  readonly timeMs: number;
}

/** In the order of their begin; a line that is not complete yet is left out. */
export function readExecutions(logPath: string): LoggedExecution[] {
  if (!existsSync(logPath)) return [];
  const text = readFileSync(logPath, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [position = 0, worker = 0, timeMs = 0] = line.split(' ').map(Number);
      return { position, worker, timeMs };
    });
}

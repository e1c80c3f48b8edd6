/** Runs the built program as users do: as a child process, with its streams collected. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const PROJECT = new URL('../../..', import.meta.url).pathname;
export const PROGRAM = join(PROJECT, 'dist/runtime/cli/granule.js');

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** null: stays open, and says nothing */
  readonly stdin?: string | null;
  /** receives the child once it runs */
  readonly withChild?: (child: ChildProcess) => void;
}

/** Our own variables are not handed down: a test states what it needs. */
function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(GRANULE_|CI$|NO_COLOR$)/.test(name)));
}

export function granule(args: readonly string[], surroundings: Surroundings = {}): Promise<Ended> {
  if (!existsSync(PROGRAM)) throw new Error('build first: npm run build');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      cwd: surroundings.cwd ?? PROJECT,
      env: { ...cleanEnvironment(), ...surroundings.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    child.stdin.on('error', () => undefined); // a program that does not read its stdin
    if (surroundings.stdin !== null) child.stdin.end(surroundings.stdin ?? '');
    surroundings.withChild?.(child);
  });
}

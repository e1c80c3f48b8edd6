/**
 * Which process is meant, for ever: a pid alone is used again. Boot, pid namespace, pid and start time name one process
 * of one machine; of another machine or container nothing can be known from here.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  readonly host: string;
  readonly pid: number;
  /** empty where the system does not tell (anything but Linux) */
  readonly bootID: string;
  readonly pidNamespace: string;
  /** clock ticks from boot to the start of the process; 0 where the system does not tell */
  readonly startTicks: number;
}

function readOr(otherwise: string, read: () => string): string {
  try {
    return read().trim();
  } catch {
    return otherwise;
  }
}

const bootID = readOr('', () => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'));
const pidNamespace = readOr('', () => readlinkSync('/proc/self/ns/pid'));

/** Field 22 of /proc/PID/stat (proc(5)); 0 where there is no such file; undefined when the process is gone. */
function startTicksOf(pid: number): number | undefined {
  const stat = readOr('', () => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  if (stat !== '') {
    // The second field is the command in parentheses, which may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie holds nothing any more.
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19]);
  }
  return bootID === '' && answersSignals(pid) ? 0 : undefined;
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

export const thisHost = hostname();

/** Of a process on this host; one that is gone has 0 start ticks, which no live one on Linux has. */
export function identifyProcess(pid: number): ProcessIdentity {
  return { host: thisHost, pid, bootID, pidNamespace, startTicks: startTicksOf(pid) ?? 0 };
}

/** Some process on this host has this pid now, not necessarily the one that is meant. */
export function isPidInUse(pid: number): boolean {
  return startTicksOf(pid) !== undefined;
}

/** `unknown`: it lives, if it does, where this process cannot see it. */
export function livenessOf(identity: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  if (identity.host !== thisHost) {
    // The same boot under another name is another container, which may share our file system.
    return 'unknown';
  }
  if (identity.bootID !== bootID) return 'dead';
  if (identity.pidNamespace !== pidNamespace) return 'unknown';
  const startTicks = startTicksOf(identity.pid);
  return startTicks !== undefined && startTicks === identity.startTicks ? 'alive' : 'dead';
}

/** Its machine has not been restarted since. */
export function isThisBoot(identity: ProcessIdentity): boolean {
  return identity.bootID === bootID && bootID !== '';
}

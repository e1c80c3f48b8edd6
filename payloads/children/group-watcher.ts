/**
 * Sees to it that process groups end with the thread that started them, however it dies, SIGKILL of the whole process
 * included. Runs in workers.
 *
 * A small shell waits at the end of a pipe whose other end only this thread holds. It is told which groups are alive;
 * when the pipe breaks it kills them and ends. Linux's parent-death signal would not do: it reaches a child, but not
 * what a shell command has started in turn.
 */
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

/**
 * The watcher is no child of ours but an orphan, so that it does not stay behind as a zombie when the thread is
 * terminated. Its own session keeps it out of signals meant for us.
 */
const WATCHER_SCRIPT = `(
  exec 0<&3 3<&-
  groups=' '
  while read -r action group; do
    case $action in
      +) groups="$groups$group " ;;
      -) groups="\${groups%% $group *} \${groups#* $group }" ;;
    esac
  done
  for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
) &`;

const alive = new Set<number>();
let watcher: Writable | undefined;

/** From now on the group ends with this thread. @param group pid of the group's leader */
export function watchGroup(group: number): void {
  alive.add(group);
  if (watcher === undefined) watcher = startWatcher();
  else watcher.write(`+ ${group}\n`);
}

/** To be called once nothing of the group is left: its number may be given to others then. */
export function unwatchGroup(group: number): void {
  if (alive.delete(group)) watcher?.write(`- ${group}\n`);
}

function startWatcher(): Writable {
  const shell = spawn('/bin/sh', ['-c', WATCHER_SCRIPT], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  });
  const pipe = shell.stdio[3] as Writable & { unref(): void };
  // A watcher that somebody killed is replaced with the next group.
  const forget = (): void => {
    if (watcher === pipe) watcher = undefined;
  };
  shell.on('error', forget);
  pipe.on('error', forget).on('close', forget);
  shell.unref();
  pipe.unref();
  pipe.write([...alive].map((group) => `+ ${group}\n`).join(''));
  return pipe;
}

/** Opens an event table in a process of its own and says what that took: one JSON line. Argument: folder. */
import { readFileSync } from 'node:fs';
import { openTable } from './event-table-work.ts';

/** Memory that is the process's own: without the mapped store, which the kernel can drop. */
function anonymousBytes(): number {
  const match = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return match === null ? process.memoryUsage().heapTotal : Number(match[1]) * 1024;
}

const startedMs = performance.now();
const dispatcher = await openTable(process.argv[2] ?? '');
const seconds = (performance.now() - startedMs) / 1000;
const merged = dispatcher.listTasks()[0]?.ranges.merged ?? 0;
process.stdout.write(`${JSON.stringify({ seconds, rssBytes: anonymousBytes(), merged })}\n`);
await dispatcher.close();
process.exit(0);

/** Runs the micro-benchmarks with tinybench and prints a line for each: `npm run bench [-- NAME...]`. */
import { readdirSync } from 'node:fs';
import { Bench } from 'tinybench';
import { moduleUrl } from '../../core/own-files.ts';
import type { MicroSuite } from './micro-suite.ts';

const FOLDER = moduleUrl('bench/micro/');
const RUN_MS = 500;
const WARM_UP_MS = 200;

const wanted = process.argv.slice(2);
const files = readdirSync(FOLDER).filter((file) => /^(?!run-suites).*\.bench\.js$/.test(file));
for (const file of files) {
  const { suite } = (await import(new URL(file, FOLDER).href)) as { readonly suite: MicroSuite };
  if (wanted.length > 0 && !wanted.some((word) => file.startsWith(word))) continue;
  process.stdout.write(`${suite.name}\n`);
  const { tasks, close } = await suite.open();
  const bench = new Bench({ time: RUN_MS, warmupTime: WARM_UP_MS });
  for (const task of tasks) {
    const first = task.run();
    await first;
    bench.add(task.name, () => task.run(), { async: first instanceof Promise });
  }
  await bench.run();
  for (const [index, task] of tasks.entries()) {
    const result = bench.tasks[index]?.result;
    if (result?.state !== 'completed') throw new Error(`${task.name} did not run`, { cause: result });
    const { p50, rme } = result.latency;
    const nanoseconds = (p50 * 1e6) / task.count;
    const line = [task.name.padEnd(36), `${nanoseconds.toFixed(0)} ns`.padStart(12), `± ${rme.toFixed(1)} %`];
    process.stdout.write(`  ${line.join('  ')}\n`);
  }
  await close();
}
// With native sockets loaded, running out of work is not a safe end.
process.exit(0);

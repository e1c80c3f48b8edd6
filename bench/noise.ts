/**
 * What disturbs a measurement and is none of its own doing: CPU time that the hypervisor took (steal), that others on
 * the machine used, throttling by a cgroup quota, and a clock frequency below what the CPU can do. Sources are
 * `/proc/stat` (proc(5)), `cpu.stat` of the cgroup and `cpufreq`; elsewhere nothing is known and nothing is said.
 */
import { tryRead } from './machine.ts';
import { type Measure, NOISY_SPREAD, summarise } from './statistics.ts';

/** Times in ticks of the machine since it started. */
interface CpuTimes {
  readonly total: number;
  readonly steal: number;
  readonly idle: number;
}

export interface Disturbance {
  /** part of the machine's CPU time that the hypervisor took, 0..1; null when unknown */
  readonly stealFraction: number | null;
  /** part of it that lay idle */
  readonly idleFraction: number | null;
  /** ms in which the cgroup's quota held this process's group back */
  readonly throttledMs: number | null;
  /** current clock of the slowest core / the highest it has; null when unknown */
  readonly frequencyFraction: number | null;
}

const STEAL_MAX = 0.02;
const FREQUENCY_MIN = 0.8;

export class NoiseWatch {
  readonly #before = readCpuTimes();
  readonly #throttledBefore = readThrottledMs();

  /** Since this watch was made. */
  disturbance(): Disturbance {
    const before = this.#before;
    const now = readCpuTimes();
    const throttledMs = readThrottledMs();
    const total = before === undefined || now === undefined ? 0 : now.total - before.total;
    const part = (ticks: number): number | null => (total > 0 ? ticks / total : null);
    return {
      stealFraction: part((now?.steal ?? 0) - (before?.steal ?? 0)),
      idleFraction: part((now?.idle ?? 0) - (before?.idle ?? 0)),
      throttledMs:
        throttledMs === undefined || this.#throttledBefore === undefined ? null : throttledMs - this.#throttledBefore,
      frequencyFraction: readFrequencyFraction() ?? null,
    };
  }
}

/** Sentences for what may have falsified the measures. */
export function noiseWarnings(disturbance: Disturbance, measures: readonly Measure[]): string[] {
  const warnings: string[] = [];
  const { stealFraction, throttledMs, frequencyFraction } = disturbance;
  if (stealFraction !== null && stealFraction > STEAL_MAX) {
    warnings.push(`the hypervisor took ${percent(stealFraction)} of the CPU time (steal)`);
  }
  if (throttledMs !== null && throttledMs > 0) {
    warnings.push(`the CPU quota held this process back for ${Math.round(throttledMs)} ms`);
  }
  if (frequencyFraction !== null && frequencyFraction < FREQUENCY_MIN) {
    warnings.push(`a core runs at ${percent(frequencyFraction)} of its highest frequency: throttled, or saving power`);
  }
  return [...warnings, ...describeNoisyMeasures(measures)];
}

function describeNoisyMeasures(measures: readonly Measure[]): string[] {
  const noisy = measures.flatMap(({ name, values }) => {
    const { spread } = summarise(values);
    return spread > NOISY_SPREAD ? [`${name} (${percent(spread)})`] : [];
  });
  return noisy.length === 0
    ? []
    : [`noisy: the repeats spread over more than ${percent(NOISY_SPREAD)} for ${noisy.join(', ')}`];
}

function percent(fraction: number): string {
  return `${(fraction * 100).toFixed(fraction < 0.1 ? 1 : 0)} %`;
}

/** First line of `/proc/stat`: user nice system idle iowait irq softirq steal … */
function readCpuTimes(): CpuTimes | undefined {
  const line = tryRead('/proc/stat')?.split('\n', 1)[0];
  if (line === undefined) return undefined;
  const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, ioWait = 0, , , steal = 0] = ticks;
  return { total: ticks.reduce((sum, value) => sum + value, 0), steal, idle: idle + ioWait };
}

/** `throttled_usec` of cgroup v2, `throttled_time` (ns) of v1. */
function readThrottledMs(): number | undefined {
  const v2 = /^throttled_usec (\d+)$/m.exec(tryRead('/sys/fs/cgroup/cpu.stat') ?? '');
  if (v2 !== null) return Number(v2[1]) / 1e3;
  const v1 = /^throttled_time (\d+)$/m.exec(tryRead('/sys/fs/cgroup/cpu/cpu.stat') ?? '');
  return v1 === null ? undefined : Number(v1[1]) / 1e6;
}

function readFrequencyFraction(): number | undefined {
  let slowest: number | undefined;
  for (let core = 0; ; core += 1) {
    const folder = `/sys/devices/system/cpu/cpu${core}/cpufreq`;
    const current = tryRead(`${folder}/scaling_cur_freq`);
    const highest = tryRead(`${folder}/cpuinfo_max_freq`);
    if (current === undefined || highest === undefined) return slowest;
    slowest = Math.min(slowest ?? 1, Number(current) / Number(highest));
  }
}

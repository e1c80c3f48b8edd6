/** What the scenario `table` has measured, as values, measures, a table and pictures. */
import { BATCH_RANGES } from './event-table-work.ts';
import type { ExpiryStall } from './expiry-stall.ts';
import { barChart } from './pictures/bar-chart.ts';
import type { Picture } from './scenario.ts';
import { describeSummary, type Measure, median, ratios } from './statistics.ts';

export interface TableSettings {
  readonly smallRanges: number;
  readonly largeRanges: number;
  readonly windowRanges: number;
  readonly consumers: number;
  /** held by the consumer whose lease ends */
  readonly heldRanges: number;
  /** the large store is brought forward by copies, not by work */
  readonly filled: boolean;
}

export interface TableMeasured {
  /** ranges per second */
  readonly small: number[];
  readonly large: number[];
  readonly registerSeconds: number;
  readonly registerBytes: number;
  readonly bytesPerFinishedRange: number;
  readonly openSeconds: number[];
  readonly rssBytes: number[];
  readonly expiry: readonly ExpiryStall[];
}

/** What is to be reached on the reference machine, in ranges per second and in ms. */
const RATE_TO_REACH = 300_000;
const STALL_TO_REACH_MS = 50;

const rate = (value: number): string => `${Math.round(value)} /s`;
const milliseconds = (ms: number): string => `${ms.toFixed(1)} ms`;

/** 1e5, 3e6, 12e7 */
function nameOf(count: number): string {
  return count.toExponential().replace('e+', 'e');
}

export function tableResult(settings: TableSettings, measured: TableMeasured) {
  const small = nameOf(settings.smallRanges);
  const large = nameOf(settings.largeRanges);
  const flatness = ratios(measured.large, measured.small);
  const stallsMs = measured.expiry.map(({ stallMs }) => stallMs);
  const undisturbedMs = measured.expiry.map((stall) => stall.undisturbedMs);
  const measures: readonly Measure[] = [
    { name: `rate at ${small}`, unit: 'ranges/s', better: 'higher', values: measured.small },
    { name: `rate at ${large}`, unit: 'ranges/s', better: 'higher', values: measured.large },
    { name: 'flatness', unit: 'ratio', better: 'higher', values: flatness },
    { name: 'register', unit: 's', better: 'lower', values: [measured.registerSeconds] },
    { name: 'bytes per finished range', unit: 'bytes', better: 'lower', values: [measured.bytesPerFinishedRange] },
    { name: 'open', unit: 's', better: 'lower', values: measured.openSeconds },
    { name: 'memory when open', unit: 'bytes', better: 'lower', values: measured.rssBytes },
    { name: 'longest wait at an expiry', unit: 'ms', better: 'lower', values: stallsMs },
  ];
  const row = (what: string, value: string, bound: string): readonly string[] => [what, value, bound];
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  return {
    values: {
      rangesPerSecond: { [small]: median(measured.small), [large]: median(measured.large) },
      flatness: median(flatness),
      registerSeconds: measured.registerSeconds,
      registerBytes: measured.registerBytes,
      bytesPerFinishedRange: measured.bytesPerFinishedRange,
      openSeconds: median(measured.openSeconds),
      rssBytes: median(measured.rssBytes),
      expiryStallMs: median(stallsMs),
      undisturbedStallMs: median(undisturbedMs),
      builtFromSample: settings.filled,
    },
    measures,
    tables: [
      {
        title: `Event table, batches of ${BATCH_RANGES}, ${settings.consumers} consumers`,
        columns: [{ title: 'what' }, { title: 'measured', align: 'right' }, { title: 'to reach', align: 'right' }],
        rows: [
          row(
            `handed out and durably finished, ${small} registered`,
            describeSummary(measured.small, rate),
            rate(RATE_TO_REACH),
          ),
          row(`the same, ${large} registered`, describeSummary(measured.large, rate), rate(RATE_TO_REACH)),
          row(
            'flatness',
            describeSummary(flatness, (value) => value.toFixed(2)),
            '0.80',
          ),
          row(`registering ${large}: time`, `${measured.registerSeconds.toFixed(3)} s`, '2 s'),
          row(`registering ${large}: disk`, megabytes(measured.registerBytes), '50 MB'),
          row('a range once merged, live pages', `${measured.bytesPerFinishedRange.toFixed(2)} bytes`, '3 bytes'),
          row(
            `opening ${large} merged`,
            describeSummary(measured.openSeconds, (s) => `${s.toFixed(3)} s`),
            '2 s',
          ),
          row(
            `longest wait while ${nameOf(settings.heldRanges)} ranges are taken back`,
            describeSummary(stallsMs, milliseconds),
            `${STALL_TO_REACH_MS} ms`,
          ),
          row('longest wait before that', describeSummary(undisturbedMs, milliseconds), ''),
          row('anonymous memory when open', describeSummary(measured.rssBytes, megabytes), '300 MB'),
        ],
      },
    ],
    pictures: [ratePicture(settings, measured), stallPicture(settings, measured)],
    notes: [
      'Warm-up: one small task before the first round, from its first to its last range and not counted. Registering has none ' +
        'but that; each opening is a process of its own.',
      'Each range has one output record; merges are offered and committed while the clock runs. Nothing is executed.',
      'Every answer waits until its change is synced to the disk of the folder measured.',
      'A wait is one answer to another consumer, hand-out or report, with its flush to disk.',
      `Windows of ${settings.windowRanges} ranges at positions over the whole large task, each after a small task of its own.`,
      settings.filled
        ? 'Between the windows the large store was built from a sample: copies of chunks and outputs that were worked through.'
        : 'The large task was worked through from its first to its last range.',
    ],
  } as const;
}

function ratePicture(settings: TableSettings, { small, large }: TableMeasured): Picture {
  const title = 'ranges handed out and durably finished per second';
  const bars = [
    { label: `${nameOf(settings.smallRanges)} ranges registered`, values: small },
    { label: `${nameOf(settings.largeRanges)} ranges registered`, values: large },
  ];
  const reference = { label: 'to reach', value: RATE_TO_REACH };
  return { title, svg: barChart({ title, bars, format: rate, reference }) };
}

function stallPicture(settings: TableSettings, { expiry }: TableMeasured): Picture {
  const title = `longest wait for an answer in ms, while ${nameOf(settings.heldRanges)} ranges are taken back`;
  const bars = [
    { label: 'before', values: expiry.map(({ undisturbedMs }) => undisturbedMs) },
    { label: 'while they are taken back', values: expiry.map(({ stallMs }) => stallMs) },
  ];
  const reference = { label: 'to stay below', value: STALL_TO_REACH_MS };
  return { title, svg: barChart({ title, bars, format: milliseconds, reference }) };
}

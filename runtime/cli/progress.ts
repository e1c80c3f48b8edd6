/**
 * Progress on stderr: on a terminal one line that is redrawn, otherwise plain lines, at most one per 30 s or per 5 % of
 * the events, the last one included. Listens to run events only.
 *
 * States: `idle` until the first snapshot, then `shown`; `close()` ends it, and leaves the terminal on a fresh line.
 */
import type { Clock } from '../../core/clock.ts';
import {
  PROGRESS_LINE_FRACTION,
  PROGRESS_LINE_MS,
  PROGRESS_LINES_APART_MS,
  PROGRESS_RATE_WINDOW_MS,
  PROGRESS_REDRAW_MS,
} from '../../core/limits.ts';
import { formatCount, formatDuration, formatNumberOf } from '../../core/quantities.ts';
import type { NodeEvents, ProgressSnapshot } from '../run/run-events.ts';
import type { NoticeOutput } from './surroundings.ts';

export type ProgressStyle = 'live' | 'plain' | 'none';

/** Live on a terminal that can move its cursor and is no CI log. */
export function progressStyle(
  output: Pick<NoticeOutput, 'isTTY'>,
  environment: Readonly<Record<string, string | undefined>>,
): ProgressStyle {
  const inCI = !['', '0', 'false'].includes(environment['CI'] ?? '');
  return output.isTTY && !inCI && environment['TERM'] !== 'dumb' ? 'live' : 'plain';
}

export class ProgressReporter {
  readonly #output: NoticeOutput;
  readonly #style: ProgressStyle;
  readonly #clock: Clock;
  readonly #stopListening: () => void;
  /** moments of the rate window: monotonic time, events finished by this start */
  readonly #moments: { readonly atMs: number; readonly eventsFinishedNow: number }[] = [];
  #last: ProgressSnapshot | undefined;
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #drawnFraction = 0;
  #lineOnScreen = '';

  constructor(events: NodeEvents, options: { output: NoticeOutput; style: ProgressStyle; clock: Clock }) {
    this.#output = options.output;
    this.#style = options.style;
    this.#clock = options.clock;
    this.#stopListening = events.on('progress', (snapshot) => this.#update(snapshot));
  }

  /** A line that stays, above the live line where there is one. */
  note(line: string): void {
    if (this.#lineOnScreen === '') {
      this.#output.write(`${line}\n`);
      return;
    }
    this.#output.write(`\r\u001b[K${line}\n${this.#lineOnScreen}`);
  }

  /** Writes how it ended as a line that stays: with the rate of the whole run, and without what goes on. */
  close(): void {
    this.#stopListening();
    if (this.#last === undefined || this.#style === 'none') return;
    const line = describeEnd(this.#last);
    this.#output.write(this.#lineOnScreen === '' ? `${line}\n` : `\r\u001b[K${line}\n`);
    this.#lineOnScreen = '';
  }

  #update(snapshot: ProgressSnapshot): void {
    const nowMs = this.#clock.monotonicMs();
    this.#last = snapshot;
    this.#moments.push({ atMs: nowMs, eventsFinishedNow: snapshot.eventsFinishedNow });
    while (this.#moments.length > 2 && (this.#moments[1]?.atMs ?? nowMs) < nowMs - PROGRESS_RATE_WINDOW_MS)
      this.#moments.shift();
    if (this.#style === 'live') this.#redraw(snapshot, nowMs);
    else if (this.#style === 'plain') this.#printPlain(snapshot, nowMs);
  }

  #redraw(snapshot: ProgressSnapshot, nowMs: number): void {
    if (nowMs - this.#drawnAtMs < PROGRESS_REDRAW_MS) return;
    this.#drawnAtMs = nowMs;
    // One column is left free: a full line would wrap, and the next redraw would leave a ghost.
    this.#lineOnScreen = [...this.#describe(snapshot)].slice(0, this.#output.columns - 1).join('');
    this.#output.write(`\r\u001b[K${this.#lineOnScreen}`);
  }

  #printPlain(snapshot: ProgressSnapshot, nowMs: number): void {
    const fraction = fractionOf(snapshot);
    if (this.#drawnAtMs === Number.NEGATIVE_INFINITY) {
      this.#drawnAtMs = nowMs;
      this.#drawnFraction = fraction;
      return;
    }
    const sinceMs = nowMs - this.#drawnAtMs;
    const grown = fraction - this.#drawnFraction >= PROGRESS_LINE_FRACTION && sinceMs >= PROGRESS_LINES_APART_MS;
    if (!grown && sinceMs < PROGRESS_LINE_MS) return;
    this.#drawnAtMs = nowMs;
    this.#drawnFraction = fraction;
    this.#output.write(`${this.#describe(snapshot)}\n`);
  }

  #describe(snapshot: ProgressSnapshot): string {
    const { eventsTotal, eventsFinished, eventsFailed, workersBusy, workerCount, phase, inputsAwaited } = snapshot;
    const rate = this.#ratePerSecond();
    const left = eventsTotal - eventsFinished - eventsFailed;
    const parts = [
      ...describeCounts(snapshot, rate),
      ...(rate > 0 && left > 0 ? [`ETA ${formatDuration((1000 * left) / rate)}`] : []),
      `${workersBusy}/${workerCount} workers busy`,
      ...(phase === 'processing' ? [] : [phase]),
      ...(inputsAwaited === 0 ? [] : [`${formatNumberOf(inputsAwaited, 'input')} being read`]),
      formatDuration(snapshot.elapsedMs),
    ];
    return parts.join('  ');
  }

  #ratePerSecond(): number {
    const first = this.#moments[0];
    const last = this.#moments.at(-1);
    if (first === undefined || last === undefined || last.atMs <= first.atMs) return 0;
    return (1000 * (last.eventsFinishedNow - first.eventsFinishedNow)) / (last.atMs - first.atMs);
  }
}

function describeEnd(snapshot: ProgressSnapshot): string {
  const { eventsFinishedNow, elapsedMs } = snapshot;
  const rate = elapsedMs > 0 ? (1000 * eventsFinishedNow) / elapsedMs : 0;
  return [...describeCounts(snapshot, rate), formatDuration(elapsedMs)].join('  ');
}

function describeCounts(snapshot: ProgressSnapshot, rate: number): readonly string[] {
  const { eventsTotal, eventsFinished, eventsFailed, eventsRetried } = snapshot;
  return [
    `${String(Math.floor(100 * fractionOf(snapshot))).padStart(3)} %`,
    `${formatCount(eventsFinished)}/${formatCount(eventsTotal)} events`,
    ...(rate > 0 ? [`${formatRate(rate)}/s`] : []),
    `${formatCount(eventsFailed)} failed`,
    ...(eventsRetried > 0 ? [`${formatCount(eventsRetried)} retried`] : []),
  ];
}

function fractionOf({ eventsTotal, eventsFinished, eventsFailed }: ProgressSnapshot): number {
  return eventsTotal === 0 ? 0 : (eventsFinished + eventsFailed) / eventsTotal;
}

function formatRate(perSecond: number): string {
  return perSecond >= 10 ? formatCount(perSecond) : perSecond.toFixed(1);
}

/**
 * One consumer of a grid: asks, executes, reports, shows that it lives; may die without a word, or fall silent for a
 * while and come back late. It does nothing by itself: the grid wakes it, and it says what it wants to call.
 */
import type { RangeUpdate } from '../../core/dispatcher-api.ts';
import type { Life } from './ledger.ts';

/** A range in its hands. */
export interface GivenRange {
  readonly rangeIndex: number;
  readonly attemptNr: number;
}

export type Report = Extract<RangeUpdate, { kind: 'finished' | 'failed' }>;

export interface GridConsumer {
  readonly place: number;
  /** grows with each life; part of its name */
  lifeNumber: number;
  name: string;
  life: Life;
  jobID: number;
  /** given and not begun */
  waiting: GivenRange[];
  executing: GivenRange | undefined;
  beganMs: number;
  endsMs: number;
  /** made and not yet acknowledged */
  unreported: Report[];
  heartbeatMs: number;
  diesMs: number;
  silentFromMs: number;
  silentToMs: number;
  /** not before this moment does it ask again */
  asksMs: number;
  /** times it found nothing to do, in a row */
  emptyAnswers: number;
}

export function newConsumer(place: number): GridConsumer {
  return {
    place,
    lifeNumber: 0,
    name: '',
    life: { lastHeardMs: 0 },
    jobID: 0,
    waiting: [],
    executing: undefined,
    beganMs: 0,
    endsMs: Number.POSITIVE_INFINITY,
    unreported: [],
    heartbeatMs: Number.POSITIVE_INFINITY,
    diesMs: Number.POSITIVE_INFINITY,
    silentFromMs: Number.POSITIVE_INFINITY,
    silentToMs: Number.POSITIVE_INFINITY,
    asksMs: 0,
    emptyAnswers: 0,
  };
}

export function isSilent(consumer: GridConsumer, nowMs: number): boolean {
  return nowMs >= consumer.silentFromMs && nowMs < consumer.silentToMs;
}

/** When something happens to it next. */
export function nextWakeMs(consumer: GridConsumer, nowMs: number): number {
  const ends = Math.min(consumer.endsMs, consumer.diesMs);
  if (isSilent(consumer, nowMs)) return Math.min(ends, consumer.silentToMs);
  const asksMs = consumer.jobID === 0 || wantsToAsk(consumer) ? consumer.asksMs : ends;
  // Without a job there is nobody to whom it would have to show that it lives.
  const heartbeatMs = consumer.jobID === 0 ? ends : consumer.heartbeatMs;
  return Math.min(ends, heartbeatMs, consumer.silentFromMs, asksMs);
}

export function wantsToAsk(consumer: GridConsumer): boolean {
  return consumer.executing === undefined || consumer.unreported.length > 0;
}

/** Gathers the metadata of one output file while a worker writes it. */
import type { EventStreamInfo } from '../../payloads/formats/event-format.ts';

type IntervalOfValidity = EventStreamInfo['intervalsOfValidity'][number];

export class EventInfoCollector {
  readonly #eventTypes: readonly string[];
  readonly #processingTag: string;
  /** of events in a row with the same number one */
  readonly #runNumbers: number[] = [];
  readonly #intervals: IntervalOfValidity[] = [];
  #eventCount = 0;

  constructor(eventType: string | undefined, processingTag: string) {
    this.#eventTypes = eventType === undefined ? [] : [eventType];
    this.#processingTag = processingTag;
  }

  addEvent(runNumber: number): void {
    this.#eventCount += 1;
    if (!Number.isNaN(runNumber) && this.#runNumbers.at(-1) !== runNumber) this.#runNumbers.push(runNumber);
  }

  addIntervalOfValidity(interval: IntervalOfValidity): void {
    this.#intervals.push(interval);
  }

  toInfo(): EventStreamInfo {
    return {
      eventCount: this.#eventCount,
      runNumbers: this.#runNumbers.length > 1 ? [...new Set(this.#runNumbers)].sort((a, b) => a - b) : this.#runNumbers,
      eventTypes: this.#eventTypes,
      processingTags: [this.#processingTag],
      intervalsOfValidity: this.#intervals,
    };
  }
}

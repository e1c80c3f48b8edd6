/**
 * Incidents (Gaudi's): tells a payload's optional hooks what happens, in a worker's thread. A payload without hooks
 * costs nothing.
 */
import type { WorkerFile } from '../../core/messages.ts';
import type { EventContext, PayloadDefinition, PayloadEvent, WorkerContext } from '../../payloads/payload.ts';

export class IncidentNotifier {
  readonly #payload: PayloadDefinition;
  readonly #context: WorkerContext<unknown, unknown>;
  /** some hook is called by {@link beginRange} */
  readonly watchesRanges: boolean;
  readonly #watchesRuns: boolean;
  #file: WorkerFile | undefined;
  #runNumber: number | undefined;

  constructor(payload: PayloadDefinition, context: WorkerContext<unknown, unknown>) {
    this.#payload = payload;
    this.#context = context;
    this.watchesRanges = [payload.beginInputFile, payload.endInputFile, payload.nextEventRange].some(
      (hook) => hook !== undefined,
    );
    this.#watchesRuns = payload.beginRun !== undefined || payload.endRun !== undefined;
  }

  /** NextEventRange, and BeginInputFile / EndInputFile where the file changes. */
  beginRange(file: WorkerFile, eventRangeID: () => string): void {
    if (this.#file?.fileIndex !== file.fileIndex) {
      this.#endFile();
      this.#file = file;
      this.#payload.beginInputFile?.({ guid: file.guid, lfn: file.lfn }, this.#context);
    }
    this.#payload.nextEventRange?.(eventRangeID(), this.#context);
  }

  /** BeginEvent, and BeginRun / EndRun where the run number changes. */
  beginEvent(event: PayloadEvent, context: EventContext<unknown, unknown>): void {
    if (this.#watchesRuns && !Number.isNaN(event.runNumber) && event.runNumber !== this.#runNumber) {
      this.#endRun();
      this.#runNumber = event.runNumber;
      this.#payload.beginRun?.(event.runNumber, this.#context);
    }
    this.#payload.beginEvent?.(event, context);
  }

  endEvent(event: PayloadEvent, context: EventContext<unknown, unknown>): void {
    this.#payload.endEvent?.(event, context);
  }

  /** The worker's last event is over. */
  end(): void {
    this.#endRun();
    this.#endFile();
  }

  #endRun(): void {
    if (this.#runNumber !== undefined) this.#payload.endRun?.(this.#runNumber, this.#context);
    this.#runNumber = undefined;
  }

  #endFile(): void {
    if (this.#file !== undefined) {
      this.#payload.endInputFile?.({ guid: this.#file.guid, lfn: this.#file.lfn }, this.#context);
    }
    this.#file = undefined;
  }
}

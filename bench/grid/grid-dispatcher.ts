/**
 * The real dispatcher in a grid: over a store in memory, driven by hand, killed and started again, with its CPU time
 * taken.
 */
import type { Clock } from '../../core/clock.ts';
import { silentLogger } from '../../core/log.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { MemoryTableStore } from '../../dispatcher/memory-table-store.ts';
import type { StoreWrite } from '../../dispatcher/table-store.ts';
import { ThreadCpuClock } from '../../runtime/worker/thread-cpu-clock.ts';

/** Taking the CPU time costs as much as some calls: it is taken of every so many moments, and multiplied. */
const MOMENTS_PER_SAMPLE = 8;

/** Stays when the dispatcher dies, but takes nothing from a dead one. */
class SurvivingStore extends MemoryTableStore {
  refuses = false;

  override async commit(writes: readonly StoreWrite[]): Promise<void> {
    if (this.refuses) throw new Error('its dispatcher is dead');
    await super.commit(writes);
  }
}

export class GridDispatcher {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #store = new SurvivingStore();
  #dispatcher: Dispatcher | undefined;
  /** what waits for the end of the moment */
  #deferred: (() => void)[] = [];
  #gathers = false;
  readonly #cpu = new ThreadCpuClock();
  cpuMs = 0;
  #moment = 0;
  longestTickMs = 0;

  constructor(clock: Clock, leaseMs: number) {
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  get api(): Dispatcher {
    if (this.#dispatcher === undefined) throw new Error('the dispatcher has not been started');
    return this.#dispatcher;
  }

  async start(): Promise<void> {
    this.#store.refuses = false;
    const before = this.#cpu.nowMs();
    this.#dispatcher = await Dispatcher.start(
      { clock: this.#clock, logger: silentLogger, leaseMs: this.#leaseMs, force: true, onFatal: () => undefined },
      {
        store: this.#store,
        path: 'memory',
        timers: false,
        defer: (run) => {
          if (this.#gathers) this.#deferred.push(run);
          else queueMicrotask(run);
        },
      },
    );
    this.#take(before);
  }

  /**
   * Sends all calls of a moment, then closes the group; answers are in the order of calls.
   *
   * @param dies the dispatcher dies before the group is written: every answer is undefined
   */
  async dispatch(
    calls: readonly { send(dispatcher: Dispatcher): Promise<unknown> }[],
    dies: boolean,
  ): Promise<readonly unknown[]> {
    this.#moment += 1;
    const before = this.#moment % MOMENTS_PER_SAMPLE === 0 ? this.#cpu.nowMs() : undefined;
    this.#gathers = true;
    const answers = calls.map((call) => call.send(this.api));
    this.#gathers = false;
    if (dies) this.#store.refuses = true;
    this.#flush();
    const settled = dies
      ? await Promise.all(answers.map((answer) => answer.catch(() => undefined)))
      : await Promise.all(answers);
    if (before !== undefined) this.#take(before, MOMENTS_PER_SAMPLE);
    if (!dies) return settled;
    await this.start();
    // Whatever needed no change was answered; its sender never got the answer.
    return settled.map(() => undefined);
  }

  close(): void {
    this.#cpu.close();
  }

  async tick(): Promise<void> {
    for (let more = true; more; ) {
      const before = this.#cpu.nowMs();
      more = this.api.tick();
      this.longestTickMs = Math.max(this.longestTickMs, this.#cpu.nowMs() - before);
      await this.api.durable();
      this.#take(before);
    }
  }

  #flush(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const run of deferred) run();
  }

  #take(before: number, times = 1): void {
    this.cpuMs += times * (this.#cpu.nowMs() - before);
  }
}

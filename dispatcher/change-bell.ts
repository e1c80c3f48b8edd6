/**
 * Says when it is worth asking again, so that nobody has to poll. Rings are gathered: listeners hear of a turn of the
 * event loop at once, and a listener that asks and gets nothing just waits for the next ring.
 */

export interface DispatcherChange {
  readonly taskID: number;
  /**
   * - `work`: ranges may be had where there were none (returned, added, or let go by the merge)
   * - `merge`: a stretch may be ready to be merged
   * - `stopped`: the task was cancelled or deleted
   */
  readonly kind: 'work' | 'merge' | 'stopped';
}

export class ChangeBell {
  readonly #listeners = new Set<(change: DispatcherChange) => void>();
  readonly #rung = new Map<string, DispatcherChange>();

  /** Returns the way to stop listening. A listener must not throw. */
  listen(listener: (change: DispatcherChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  ring(taskID: number, kind: DispatcherChange['kind']): void {
    if (this.#listeners.size === 0) return;
    if (this.#rung.size === 0) queueMicrotask(() => this.#tell());
    this.#rung.set(`${kind} ${taskID}`, { taskID, kind });
  }

  #tell(): void {
    const changes = [...this.#rung.values()];
    this.#rung.clear();
    for (const change of changes) for (const listener of this.#listeners) listener(change);
  }
}

/** Keeps the end of what a child process prints, however much that is. */
import { CHILD_TAIL_BYTES, LOG_LINE_CHARS_MAX, LOG_TAIL_LINES } from '../../core/limits.ts';

export class OutputTail {
  #chunks: Uint8Array[] = [];
  #sizeBytes = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.length;
    // Cut only now and then, so that each byte is copied a bounded number of times.
    if (this.#sizeBytes > 2 * CHILD_TAIL_BYTES) this.#cut();
  }

  clear(): void {
    this.#chunks = [];
    this.#sizeBytes = 0;
  }

  /** The last lines, oldest first; the first may lack its beginning. */
  lines(): readonly string[] {
    this.#cut();
    const text = Buffer.from(this.#chunks[0] ?? []).toString('utf8');
    const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
    if (lines.at(-1) === '') lines.pop();
    return lines.slice(-LOG_TAIL_LINES).map((line) => line.slice(0, LOG_LINE_CHARS_MAX));
  }

  #cut(): void {
    const all = Buffer.concat(this.#chunks);
    // A copy: a view would keep the whole flood in memory.
    const kept = new Uint8Array(all.subarray(Math.max(0, all.length - CHILD_TAIL_BYTES)));
    this.#chunks = [kept];
    this.#sizeBytes = kept.length;
  }
}

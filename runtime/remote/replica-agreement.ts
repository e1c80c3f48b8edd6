/** What all replicas of one file must agree on: its size, and its checksums where servers give some. */
import { GranuleError } from '../../core/errors.ts';
import type { FileChecksum, SourceIdentity } from './byte-source.ts';

/** What is known of the file beforehand; replicas that say otherwise are left out. */
export interface ExpectedFile {
  readonly sizeBytes?: number;
  readonly checksums?: readonly FileChecksum[];
}

/** Begins with what is expected; what is not known beforehand is what the first replica says. */
export class ReplicaAgreement {
  readonly #name: string;
  #sizeBytes: number | undefined;
  #checksums: readonly FileChecksum[];
  #by = 'what is known of the file';

  constructor(name: string, expected: ExpectedFile) {
    this.#name = name;
    this.#sizeBytes = expected.sizeBytes;
    this.#checksums = expected.checksums ?? [];
  }

  /** Throws `SOURCE_DIFFERS`, naming both sides, when this replica says something else. */
  accept(identity: SourceIdentity, place: string): void {
    const difference = this.#differenceFrom(identity);
    if (difference !== undefined) {
      const { found, wanted } = difference;
      throw new GranuleError('SOURCE_DIFFERS', `${this.#name}: ${place} has ${found}, but ${this.#by} says ${wanted}`, {
        details: { place, found, wanted },
        remedy: 'Remove the wrong replica from the catalogue.',
      });
    }
    if (this.#sizeBytes === undefined) this.#by = place;
    this.#sizeBytes ??= identity.sizeBytes;
    if (this.#checksums.length === 0) this.#checksums = identity.checksums;
  }

  #differenceFrom(identity: SourceIdentity): { readonly found: string; readonly wanted: string } | undefined {
    const { sizeBytes, checksums } = identity;
    if (sizeBytes !== undefined && this.#sizeBytes !== undefined && sizeBytes !== this.#sizeBytes) {
      return { found: `${sizeBytes} bytes`, wanted: `${this.#sizeBytes} bytes` };
    }
    for (const { algorithm, hex } of checksums) {
      const wanted = this.#checksums.find((checksum) => checksum.algorithm === algorithm);
      if (wanted !== undefined && wanted.hex !== hex) {
        return { found: `${algorithm} ${hex}`, wanted: `${algorithm} ${wanted.hex}` };
      }
    }
    return undefined;
  }
}

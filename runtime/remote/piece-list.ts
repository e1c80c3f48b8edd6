/** Which pieces of one file are in the cache: a sorted list, and how to cover a byte range with it. Pure. */
import { type ByteRange, endOf } from './byte-source.ts';

/** A stretch of a file that lies in the cache as a file of its own; its name says all of this. */
export interface Piece extends ByteRange {
  readonly crc32: number;
}

export function pieceName(piece: Piece): string {
  return `${piece.offsetBytes}-${piece.lengthBytes}-${piece.crc32.toString(16).padStart(8, '0')}`;
}

/** Undefined for names that are not of pieces: temporary files, and whatever else lies there. */
export function tryPieceName(name: string): Piece | undefined {
  const match = /^(\d{1,15})-(\d{1,9})-([0-9a-f]{8})$/.exec(name);
  if (match === null || Number(match[2]) === 0) return undefined;
  return {
    offsetBytes: Number(match[1]),
    lengthBytes: Number(match[2]),
    crc32: Number.parseInt(match[3] ?? '', 16),
  };
}

export class PieceList {
  /** sorted by offset; pieces may overlap, since several processes fill one cache */
  #pieces: Piece[] = [];

  replace(pieces: readonly Piece[]): void {
    this.#pieces = pieces.toSorted((a, b) => a.offsetBytes - b.offsetBytes);
  }

  add(piece: Piece): void {
    this.#pieces.splice(this.#firstAfter(piece.offsetBytes), 0, piece);
  }

  remove(piece: Piece): void {
    const name = pieceName(piece);
    this.#pieces = this.#pieces.filter((other) => pieceName(other) !== name);
  }

  /** The piece that holds the byte at this offset and reaches furthest. */
  at(offsetBytes: number): Piece | undefined {
    let best: Piece | undefined;
    for (let index = this.#firstAfter(offsetBytes) - 1; index >= 0; index -= 1) {
      const piece = this.#pieces[index];
      // No piece is longer than the longest: further back nothing reaches here.
      if (piece === undefined || piece.offsetBytes + PIECE_BYTES_BOUND <= offsetBytes) break;
      if (endOf(piece) > offsetBytes && (best === undefined || endOf(piece) > endOf(best))) best = piece;
    }
    return best;
  }

  /** Pieces that hold the whole range, in order, each beginning within or at the end of the one before. */
  cover(range: ByteRange): Piece[] | undefined {
    const pieces: Piece[] = [];
    for (let offset = range.offsetBytes; offset < endOf(range); ) {
      const piece = this.at(offset);
      if (piece === undefined) return undefined;
      pieces.push(piece);
      offset = endOf(piece);
    }
    return pieces;
  }

  #firstAfter(offsetBytes: number): number {
    let low = 0;
    let high = this.#pieces.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#pieces[middle]?.offsetBytes ?? 0) <= offsetBytes) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The longest piece ever written. */
export const PIECE_BYTES_BOUND = 1024 * 1024;

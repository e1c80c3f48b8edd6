/**
 * Reads blank-separated fields line by line from the bytes of one event. Keeps a cursor in one string, so that an
 * event of a thousand lines does not become ten thousand strings.
 */
import { GranuleError } from '../../core/errors.ts';

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const MINUS = 0x2d;
const ZERO = 0x30;
/** More digits than this need not fit a double exactly. */
const EXACT_DIGITS = 15;

/**
 * A number as C and Fortran print it: `1.0e+03`, `1.0D+03`, `nan`, `-inf`; undefined for anything else.
 *
 * @param field without blanks, not empty
 */
export function tryFloat(field: string): number | undefined {
  const value = Number(field);
  if (!Number.isNaN(value)) return value;
  if (/^[+-]?nan/i.test(field)) return Number.NaN;
  if (/^[+-]?inf(inity)?$/i.test(field)) return field.startsWith('-') ? -Infinity : Infinity;
  const fortran = Number(field.replace(/d/i, 'e'));
  return Number.isNaN(fortran) ? undefined : fortran;
}

export class FieldReader {
  readonly #text: string;
  readonly #what: string;
  #at = 0;
  #lineStart = 0;
  #lineEnd = 0;
  #nextLine = 0;
  #lineNumber = 0;

  /** @param what names the record in errors, for instance `HepMC3 event` */
  constructor(bytes: Uint8Array, what: string) {
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
    this.#what = what;
  }

  /** Moves to the next line that is not blank; false at the end. */
  nextLine(): boolean {
    const text = this.#text;
    while (this.#nextLine < text.length) {
      const newline = text.indexOf('\n', this.#nextLine);
      this.#lineStart = this.#nextLine;
      this.#at = this.#nextLine;
      this.#lineEnd = newline < 0 ? text.length : newline;
      this.#nextLine = newline < 0 ? text.length : newline + 1;
      this.#lineNumber += 1;
      if (text.charCodeAt(this.#lineEnd - 1) === CARRIAGE_RETURN) this.#lineEnd -= 1;
      if (this.hasMore()) return true;
    }
    return false;
  }

  /** Whether the line has a further field. */
  hasMore(): boolean {
    this.#skipBlanks();
    return this.#at < this.#lineEnd;
  }

  /** Character code of the next field's first character, NaN at the end of the line. */
  peek(): number {
    return this.hasMore() ? this.#text.charCodeAt(this.#at) : Number.NaN;
  }

  /** The whole current line without its end. */
  line(): string {
    return this.#text.slice(this.#lineStart, this.#lineEnd);
  }

  /** What is left of the line, blanks trimmed. */
  rest(): string {
    const rest = this.#text.slice(this.#at, this.#lineEnd).trim();
    this.#at = this.#lineEnd;
    return rest;
  }

  word(name: string): string {
    this.#skipBlanks();
    const start = this.#at;
    const end = this.#fieldEnd();
    if (start === end) this.fail(`has no ${name}`);
    this.#at = end;
    return this.#text.slice(start, end);
  }

  integer(name: string): number {
    this.#skipBlanks();
    const text = this.#text;
    const start = this.#at;
    let at = start;
    const negative = text.charCodeAt(at) === MINUS;
    if (negative) at += 1;
    const digits = at;
    let value = 0;
    while (at < this.#lineEnd) {
      const digit = text.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      at += 1;
    }
    if (at > digits && at - digits <= EXACT_DIGITS && this.#isFieldEnd(at)) {
      this.#at = at;
      return negative ? -value : value;
    }
    const field = this.word(name);
    if (!/^[+-]?\d+$/.test(field)) this.fail(`has "${field}" where ${name}, an integer, belongs`);
    return Number(field);
  }

  /** See {@link tryFloat}. */
  float(name: string): number {
    const field = this.word(name);
    return tryFloat(field) ?? this.fail(`has "${field}" where ${name}, a number, belongs`);
  }

  /** All remaining fields as numbers. */
  floats(name: string): number[] {
    const values: number[] = [];
    while (this.hasMore()) values.push(this.float(name));
    return values;
  }

  fail(message: string): never {
    throw new GranuleError('INPUT_MALFORMED', `${this.#what}: line ${this.#lineNumber} ${message}`, {
      details: { line: this.#lineNumber },
    });
  }

  #skipBlanks(): void {
    while (this.#at < this.#lineEnd) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== SPACE && code !== TAB) return;
      this.#at += 1;
    }
  }

  #fieldEnd(): number {
    let at = this.#at;
    while (!this.#isFieldEnd(at)) at += 1;
    return at;
  }

  #isFieldEnd(at: number): boolean {
    if (at >= this.#lineEnd) return true;
    const code = this.#text.charCodeAt(at);
    return code === SPACE || code === TAB || code === NEWLINE;
  }
}

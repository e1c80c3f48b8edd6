/**
 * Several places of one file as a single {@link ByteSource} that keeps going: each read goes to the replica expected to
 * be fastest, a failing replica is put aside for a growing time and tried again, and a read or stream moves to the next
 * replica where the last one broke off. A file with one place is a set of one: all tries of remote input happen here.
 *
 * A replica is *fresh* (not opened), *in use*, *aside* (until a moment) or *out* (for good: it refused, does not exist,
 * changed, or differs from the others).
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../../core/clock.ts';
import { describeThrown, GranuleError, isGranuleError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { abortable } from './abortable.ts';
import { fullJitterMs } from './backoff.ts';
import { type ByteRange, type ByteSource, type SourceIdentity, verifyChecksums } from './byte-source.ts';
import type { RemoteOptions } from './remote-options.ts';
import { type ExpectedFile, ReplicaAgreement } from './replica-agreement.ts';

/** A source and what its server is expected to take for so many bytes. */
export interface Replica {
  readonly source: ByteSource;
  expectedMs(sizeBytes: number, nowMs: number): number;
}

export interface ReplicaSetOptions {
  /** shown in messages: LFN or GUID */
  readonly name: string;
  readonly expected: ExpectedFile;
  readonly timing: Pick<RemoteOptions, 'patienceMs' | 'backoffBaseMs' | 'backoffMaxMs'>;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Member extends Replica {
  identity: SourceIdentity | undefined;
  failures: number;
  asideUntilMs: number;
  /** why it is out for good */
  out: GranuleError | undefined;
}

export class ReplicaSet implements ByteSource {
  readonly place: string;
  readonly #members: readonly Member[];
  readonly #options: ReplicaSetOptions;
  readonly #closing = new AbortController();
  #opened: Promise<SourceIdentity> | undefined;
  readonly #agreement: ReplicaAgreement;

  constructor(replicas: readonly Replica[], options: ReplicaSetOptions) {
    this.place = replicas.map(({ source }) => source.place).join(', ');
    this.#options = options;
    this.#members = replicas.map(({ source, expectedMs }) => ({
      source,
      expectedMs,
      identity: undefined,
      failures: 0,
      asideUntilMs: 0,
      out: undefined,
    }));
    this.#agreement = new ReplicaAgreement(options.name, options.expected);
  }

  /**
   * With an expected size, answers as soon as one replica does. Without, waits for all of them to answer or fail once,
   * so that a disagreement is found before the first byte is used.
   *
   * @throws SOURCE_DIFFERS when two replicas disagree and nothing says which is right
   */
  open(signal: AbortSignal): Promise<SourceIdentity> {
    this.#opened ??= this.#openSet(this.#closing.signal).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return abortable(this.#opened, signal);
  }

  async read(range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    const [bytes] = await this.readMany([range], signal);
    return bytes ?? new Uint8Array(0);
  }

  readMany(ranges: readonly ByteRange[], signal: AbortSignal): Promise<Uint8Array[]> {
    const sizeBytes = ranges.reduce((sum, range) => sum + range.lengthBytes, 0);
    return this.#persist(sizeBytes, signal, async ({ source }) => {
      const results = await source.readMany(ranges, signal);
      verifyChecksums(ranges, results, source.place);
      return results;
    });
  }

  async *stream(offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = offsetBytes;
    const trial = this.#beginTrial();
    for (;;) {
      const member = await this.#nextMember(Number.MAX_SAFE_INTEGER, trial, signal);
      try {
        // One that failed while the others were opened has agreed to nothing yet; a lone one has nobody to agree with.
        if (member.identity === undefined && this.#members.length > 1) await this.#openMember(member, signal);
        for await (const chunk of member.source.stream(at, signal)) {
          at += chunk.length;
          this.#succeeded(member, trial);
          yield chunk;
        }
        return;
      } catch (error) {
        this.#failed(member, error, trial, signal);
      }
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new GranuleError('SOURCE_UNREACHABLE', `${this.#options.name} was closed`));
    await Promise.all(this.#members.map(({ source }) => source.close()));
  }

  async #openSet(signal: AbortSignal): Promise<SourceIdentity> {
    const trial = this.#beginTrial();
    if (this.#members.length > 1) {
      const first = this.#members.map(async (member) => {
        try {
          return await this.#openMember(member, signal);
        } catch (error) {
          this.#failed(member, error, undefined, signal);
          throw error;
        }
      });
      if (this.#options.expected.sizeBytes === undefined) {
        await Promise.allSettled(first);
        const differing = this.#members.find(({ out }) => out?.code === 'SOURCE_DIFFERS');
        if (differing?.out !== undefined) throw differing.out;
      } else {
        const quickest = await Promise.any(first).catch(() => undefined);
        if (quickest !== undefined) return quickest;
      }
    }
    return this.#persist(0, signal, (member) => this.#openMember(member, signal), trial);
  }

  /** Opens the member's source and holds its word against what is agreed. */
  async #openMember(member: Member, signal: AbortSignal): Promise<SourceIdentity> {
    const identity = await member.source.open(signal);
    if (member.identity !== undefined) return member.identity;
    this.#agreement.accept(identity, member.source.place);
    member.identity = identity;
    return identity;
  }

  /** Tries the action on one replica after another until it succeeds, nobody is left, or patience ends. */
  async #persist<Result>(
    sizeBytes: number,
    signal: AbortSignal,
    action: (member: Member) => Promise<Result>,
    trial = this.#beginTrial(),
  ): Promise<Result> {
    for (;;) {
      const member = await this.#nextMember(sizeBytes, trial, signal);
      try {
        const result = await this.#openAnd(member, action, signal);
        this.#succeeded(member, trial);
        return result;
      } catch (error) {
        this.#failed(member, error, trial, signal);
      }
    }
  }

  /** With an expected size, a replica is asked for bytes and for what it says of the file at the same time. */
  async #openAnd<Result>(
    member: Member,
    action: (member: Member) => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result> {
    if (member.identity !== undefined) return action(member);
    const opening = this.#openMember(member, signal);
    if (this.#options.expected.sizeBytes === undefined) await opening;
    const [result] = await Promise.all([action(member), opening]);
    return result;
  }

  #beginTrial(): Trial {
    return { tries: 0, failingSinceMs: undefined, lastError: undefined, corruptions: new Map(), liars: new Set() };
  }

  /** The replica that promises to be fastest; waits while all of them are aside. */
  async #nextMember(sizeBytes: number, trial: Trial, signal: AbortSignal): Promise<Member> {
    signal.throwIfAborted();
    const candidates = this.#members.filter((member) => member.out === undefined && !trial.liars.has(member));
    if (candidates.length === 0) throw this.#nobodyLeft(trial);
    const nowMs = this.#options.clock.monotonicMs();
    const ready = candidates.filter(({ asideUntilMs }) => asideUntilMs <= nowMs);
    const best = leastBy(ready, (member) => member.expectedMs(sizeBytes, nowMs));
    if (best !== undefined) return best;
    const next = leastBy(candidates, ({ asideUntilMs }) => asideUntilMs);
    const waitMs = (next?.asideUntilMs ?? nowMs) - nowMs;
    const failingMs = trial.failingSinceMs === undefined ? 0 : nowMs - trial.failingSinceMs;
    // A new read waits for a replica that others have found failing: its own patience begins with its own failure.
    if (trial.tries > 0 && failingMs + waitMs > this.#patienceMs()) throw this.#nobodyLeft(trial);
    await pause(Math.max(1, waitMs), undefined, { signal }).catch(() => signal.throwIfAborted());
    return this.#nextMember(sizeBytes, trial, signal);
  }

  /** A file that never answered is more likely wrong than down: then the wait is shorter. */
  #patienceMs(): number {
    const { patienceMs } = this.#options.timing;
    return this.#members.some(({ identity }) => identity !== undefined) ? patienceMs : patienceMs / 4;
  }

  #succeeded(member: Member, trial: Trial): void {
    member.failures = 0;
    trial.failingSinceMs = undefined;
  }

  /** Puts the member aside, or out; throws when the error is not the replica's fault. */
  #failed(member: Member, error: unknown, trial: Trial | undefined, signal: AbortSignal): void {
    if (signal.aborted) throw signal.reason;
    if (!isGranuleError(error)) throw error;
    const { clock, log, name, timing } = this.#options;
    const nowMs = clock.monotonicMs();
    // A wrong answer says nothing of others: it counts for the read that got it, and makes nobody else wait longer.
    let failures = 1;
    if (trial !== undefined) {
      trial.tries += 1;
      trial.failingSinceMs ??= nowMs;
      trial.lastError = error;
      if (error.code === 'SOURCE_CORRUPT') {
        const corruptions = (trial.corruptions.get(member) ?? 0) + 1;
        trial.corruptions.set(member, corruptions);
        failures = corruptions;
        if (corruptions >= CORRUPT_MAX) trial.liars.add(member);
      }
    }
    if (error.code !== 'SOURCE_CORRUPT') {
      member.failures += 1;
      failures = member.failures;
    }
    if (isFinal(error, member)) {
      member.out = error;
      log.warn({ file: name, place: member.source.place, code: error.code, reason: error.message }, 'replica left out');
      return;
    }
    const { retryAfterMs } = error.details;
    const jitterMs = fullJitterMs(failures, timing, Math.random());
    const asideMs = Math.max(jitterMs, typeof retryAfterMs === 'number' ? retryAfterMs : 0);
    member.asideUntilMs = nowMs + asideMs;
    log.info(
      { file: name, place: member.source.place, asideMs: Math.round(asideMs), reason: describeThrown(error).message },
      'replica put aside',
    );
  }

  /** All out for one reason, or one of them because it changed: that. Else unreachable, with each one's reason. */
  #nobodyLeft(trial: Trial): GranuleError {
    if (trial.lastError?.code === 'SOURCE_CORRUPT') return trial.lastError;
    const outs = this.#members.flatMap(({ out }) => (out === undefined ? [] : [out]));
    if (outs.length === this.#members.length) {
      const telling = outs.find(({ code }) => code === 'SOURCE_CHANGED') ?? outs[0];
      if (
        telling !== undefined &&
        (telling.code === 'SOURCE_CHANGED' || outs.every(({ code }) => code === telling.code))
      ) {
        return telling;
      }
    }
    const last = trial.lastError;
    const reasons = this.#members.flatMap(({ out, source }) => {
      const reason = out ?? (last !== undefined && outs.length + 1 === this.#members.length ? last : undefined);
      return [reason?.message ?? `${source.place} fails again and again`];
    });
    if (last !== undefined && !reasons.includes(last.message)) reasons.push(`lastly ${last.message}`);
    return new GranuleError('SOURCE_UNREACHABLE', `${this.#options.name} cannot be read: ${reasons.join('; ')}`, {
      details: { file: this.#options.name, reasons, tries: trial.tries },
      remedy: 'Run the same command again when a server can be reached, or add a replica to the catalogue.',
      ...(last === undefined ? {} : { cause: last }),
    });
  }
}

/** One read's history over all replicas. */
interface Trial {
  tries: number;
  failingSinceMs: number | undefined;
  lastError: GranuleError | undefined;
  /** wrong answers to this read, by replica */
  readonly corruptions: Map<Member, number>;
  /** replicas that answered this read wrongly too often */
  readonly liars: Set<Member>;
}

/** A wrong answer may be a matter of luck: a replica is asked the same thing so often. */
const CORRUPT_MAX = 3;

function isFinal(error: GranuleError, member: Member): boolean {
  if (error.code === 'SOURCE_CORRUPT') return false;
  if (error.code !== 'SOURCE_UNREACHABLE') return true;
  // A name that was known before will be known again; a host nobody ever reached is a mistake in the address.
  return error.details['permanent'] === true && member.identity === undefined;
}

function leastBy<Item>(items: readonly Item[], measure: (item: Item) => number): Item | undefined {
  let best: Item | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const value = measure(item);
    if (value < least) {
      best = item;
      least = value;
    }
  }
  return best;
}

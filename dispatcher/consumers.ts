/**
 * Who holds ranges. A consumer is one program (a pilot) with one lease for all that it holds; a job is its share of one
 * task. Which ranges a job holds is written in the chunks; here is counted where.
 *
 * A consumer is `active`, until it leaves (and is forgotten), or its lease ends: `expired`, or the program that held the
 * store dies together with it: `orphaned`. An expired or orphaned consumer is deaf: nothing it says counts any more. It
 * is forgotten when the last of its ranges is taken back.
 */
import type { ConsumerIdentity } from '../core/dispatcher-api.ts';
import { LEASE_CHECKS } from '../core/limits.ts';
import type { GroupCommit, WriteSource } from './group-commit.ts';
import { HeldChunks } from './held-chunks.ts';
import { identifyProcess, livenessOf, type ProcessIdentity, thisHost } from './process-identity.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type StoreKey, type TableStore } from './table-store.ts';

export interface HeldJob {
  readonly jobID: number;
  readonly taskID: number;
  readonly consumer: Consumer;
  /** what of the job's share has been handed out */
  eventsHandedOut: number;
  readonly held: HeldChunks;
  /** the task was cancelled, or the consumer is deaf */
  stopped: boolean;
}

export interface Consumer {
  readonly serial: number;
  readonly identity: ConsumerIdentity;
  /** of a consumer on this host: so that its death is noticed at once */
  readonly process: ProcessIdentity | undefined;
  /** lives in the dispatcher's own process: its life is the dispatcher's */
  readonly inProcess: boolean;
  /** few */
  readonly jobs: HeldJob[];
  state: 'active' | 'expired' | 'orphaned';
  /** monotonic */
  leaseEndsMs: number;
}

interface ConsumerRecord {
  readonly identity: ConsumerIdentity;
  readonly process: ProcessIdentity | undefined;
  readonly inProcess: boolean;
  readonly expired: boolean;
  readonly jobs: readonly (readonly [jobID: number, taskID: number, eventsHandedOut: number, stopped: boolean])[];
}

export class ConsumerBook implements WriteSource {
  readonly #commit: GroupCommit;
  readonly #leaseMs: number;
  readonly #bySerial = new Map<number, Consumer>();
  /** active ones only */
  readonly #byID = new Map<string, Consumer>();
  /** active ones in other processes of this host */
  readonly #neighbours = new Set<Consumer>();
  readonly #jobs = new Map<number, HeldJob>();
  readonly #changed = new Set<number>();
  /** consumers to look at when their part of the lease period comes; a renewed one moves on when its part comes */
  readonly #due = new Map<number, Consumer[]>();
  #nextDue = Number.NaN;
  #nextSerial = 1;

  constructor(commit: GroupCommit, leaseMs: number) {
    this.#commit = commit;
    this.#leaseMs = leaseMs;
  }

  get size(): number {
    return this.#bySerial.size;
  }

  /**
   * Reads the consumers of the dispatcher before this one. Those that lived in its process died with it, and so did, for
   * all that is known, those of this host that are dead: they come back as `orphaned`. The others get a fresh lease.
   */
  load(store: TableStore, monotonicMs: number): void {
    for (const { key, value } of store.entries(['consumer'])) {
      const serial = Number((key as readonly unknown[])[1]);
      const record = unpackRecord<ConsumerRecord>(value);
      const gone = record.inProcess || (record.process !== undefined && livenessOf(record.process) === 'dead');
      const consumer: Consumer = {
        serial,
        identity: record.identity,
        process: record.process,
        inProcess: false,
        jobs: [],
        state: record.expired ? 'expired' : gone ? 'orphaned' : 'active',
        leaseEndsMs: monotonicMs + this.#leaseMs,
      };
      this.#nextSerial = Math.max(this.#nextSerial, serial + 1);
      this.#bySerial.set(serial, consumer);
      for (const [jobID, taskID, eventsHandedOut, stopped] of record.jobs) {
        Object.assign(this.#addJob(consumer, jobID, taskID), { eventsHandedOut, stopped });
      }
      if (consumer.state === 'active') {
        this.#enlist(consumer);
      } else for (const job of consumer.jobs) job.stopped = true;
    }
  }

  /** The active consumer of this name; made when there is none. */
  admit(identity: ConsumerIdentity, monotonicMs: number): Consumer {
    const known = this.#byID.get(identity.consumerID);
    if (known !== undefined) return known;
    const local = identity.host === thisHost ? identifyProcess(identity.pid) : undefined;
    const consumer: Consumer = {
      serial: this.#nextSerial++,
      identity,
      process: local,
      inProcess: local !== undefined && identity.pid === process.pid,
      jobs: [],
      state: 'active',
      leaseEndsMs: monotonicMs + this.#leaseMs,
    };
    this.#bySerial.set(consumer.serial, consumer);
    this.#enlist(consumer);
    this.noteChange(consumer);
    return consumer;
  }

  find(consumerID: string): Consumer | undefined {
    return this.#byID.get(consumerID);
  }

  job(jobID: number): HeldJob | undefined {
    return this.#jobs.get(jobID);
  }

  consumers(): IterableIterator<Consumer> {
    return this.#bySerial.values();
  }

  has(consumer: Consumer): boolean {
    return this.#bySerial.has(consumer.serial);
  }

  openJob(consumer: Consumer, jobID: number, taskID: number): HeldJob {
    const job = this.#addJob(consumer, jobID, taskID);
    this.noteChange(consumer);
    return job;
  }

  /** The task was cancelled or deleted: whoever works on it is told at its next heartbeat. */
  stopJobsOf(taskID: number): void {
    for (const job of this.#jobs.values()) {
      if (job.taskID !== taskID || job.stopped) continue;
      job.stopped = true;
      this.noteChange(job.consumer);
    }
  }

  closeJob(job: HeldJob): void {
    this.#jobs.delete(job.jobID);
    job.consumer.jobs.splice(job.consumer.jobs.indexOf(job), 1);
    this.noteChange(job.consumer);
  }

  /** Any sign of life. */
  renew(consumer: Consumer, monotonicMs: number): void {
    consumer.leaseEndsMs = monotonicMs + this.#leaseMs;
  }

  /** Makes a consumer deaf; its ranges are the caller's to take back. */
  silence(consumer: Consumer, state: 'expired' | 'orphaned'): void {
    consumer.state = state;
    this.#delist(consumer);
    for (const job of consumer.jobs) job.stopped = true;
    this.noteChange(consumer);
  }

  forget(consumer: Consumer): void {
    for (const job of consumer.jobs) this.#jobs.delete(job.jobID);
    this.#bySerial.delete(consumer.serial);
    this.#delist(consumer);
    this.noteChange(consumer);
  }

  /** Active consumers whose lease has ended, up to a bound; `more` when some are still to be looked at. */
  takeDue(
    monotonicMs: number,
    countMax: { readonly lookedAt: number; readonly expired: number },
  ): { readonly expired: readonly Consumer[]; readonly more: boolean } {
    const expired: Consumer[] = [];
    const now = this.#period(monotonicMs);
    if (Number.isNaN(this.#nextDue)) return { expired, more: false };
    let looked = 0;
    for (; this.#nextDue <= now; this.#nextDue += 1) {
      const due = this.#due.get(this.#nextDue) ?? [];
      while (due.length > 0) {
        if (looked >= countMax.lookedAt || expired.length >= countMax.expired) return { expired, more: true };
        looked += 1;
        const consumer = due.pop() as Consumer;
        if (consumer.state !== 'active' || !this.#bySerial.has(consumer.serial)) continue;
        if (consumer.inProcess) this.renew(consumer, monotonicMs);
        if (consumer.leaseEndsMs <= monotonicMs) expired.push(consumer);
        else this.#watch(consumer);
      }
      this.#due.delete(this.#nextDue);
      if (this.#due.size === 0) {
        this.#nextDue = Number.NaN;
        break;
      }
    }
    return { expired, more: false };
  }

  /** Active consumers in other processes of this host that are dead: no need to wait for their lease. */
  deadNeighbours(): readonly Consumer[] {
    return [...this.#neighbours].filter(({ process: identity }) => identity && livenessOf(identity) === 'dead');
  }

  noteChange(consumer: Consumer): void {
    this.#changed.add(consumer.serial);
    this.#commit.changed(this);
  }

  collectWrites(write: (key: StoreKey, value: Uint8Array | undefined) => void): void {
    for (const serial of this.#changed) {
      const consumer = this.#bySerial.get(serial);
      write(STORE_KEYS.consumer(serial), consumer === undefined ? undefined : packConsumer(consumer));
    }
    this.#changed.clear();
  }

  #enlist(consumer: Consumer): void {
    this.#byID.set(consumer.identity.consumerID, consumer);
    if (consumer.process !== undefined && !consumer.inProcess) this.#neighbours.add(consumer);
    this.#watch(consumer);
  }

  /** Another one may have come under its name meanwhile. */
  #delist(consumer: Consumer): void {
    const { consumerID } = consumer.identity;
    if (this.#byID.get(consumerID) === consumer) this.#byID.delete(consumerID);
    this.#neighbours.delete(consumer);
  }

  #addJob(consumer: Consumer, jobID: number, taskID: number): HeldJob {
    const job = { jobID, taskID, consumer, eventsHandedOut: 0, held: new HeldChunks(), stopped: false };
    consumer.jobs.push(job);
    this.#jobs.set(jobID, job);
    return job;
  }

  /** Number of the part of the lease period that a moment lies in. */
  #period(monotonicMs: number): number {
    return Math.floor((monotonicMs * LEASE_CHECKS) / this.#leaseMs);
  }

  #watch(consumer: Consumer): void {
    // The part after the one in which the lease ends: when it comes, the lease has ended unless it was renewed.
    const period = this.#period(consumer.leaseEndsMs) + 1;
    const due = this.#due.get(period);
    if (due === undefined) this.#due.set(period, [consumer]);
    else due.push(consumer);
    if (!(this.#nextDue <= period)) this.#nextDue = period;
  }
}

function packConsumer(consumer: Consumer): Uint8Array {
  const record: ConsumerRecord = {
    identity: consumer.identity,
    process: consumer.process,
    inProcess: consumer.inProcess,
    expired: consumer.state === 'expired',
    jobs: consumer.jobs.map((job) => [job.jobID, job.taskID, job.eventsHandedOut, job.stopped] as const),
  };
  return packRecord(record);
}

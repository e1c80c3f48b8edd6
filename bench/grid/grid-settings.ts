/** A grid in numbers. All times are virtual. */
export interface GridSettings {
  readonly seed: number;
  /** each works on one event at a time; one that dies is replaced by a new one */
  readonly consumers: number;
  readonly events: number;
  readonly meanEventMs: number;
  /** of the logarithm of an event's length (log-normal); 0 for equal lengths */
  readonly lengthSigma: number;
  readonly leaseMs: number;
  /** ranges a consumer asks for at once */
  readonly rangesPerRequest: number;
  /** part of the consumers that die without a word, per hour */
  readonly deathsPerHour: number;
  /** part of them that fall silent, work on, and come back after about two leases, per hour */
  readonly silencesPerHour: number;
  /** part of the executions that fail */
  readonly failureFraction: number;
  /** part of the reports that are sent a second time, their answer being lost */
  readonly echoFraction: number;
  /** deaths of the dispatcher, spread over the run */
  readonly dispatcherDeaths: number;
  /** changes are written, and calls answered, so often */
  readonly flushMs: number;
}

export interface GridOutcome {
  /** virtual time from the first request to the last merge */
  readonly elapsedMs: number;
  /** executions that came to their end, well or not */
  readonly executed: number;
  readonly committed: number;
  readonly fatal: number;
  /** executions, or parts of them, that nobody needed: in ms of execution */
  readonly wastedMs: number;
  readonly executedMs: number;
  /** reports refused as stale, and recognised as echoes */
  readonly stale: number;
  readonly duplicate: number;
  readonly consumerDeaths: number;
  /** ranges taken back from consumers whose lease ended */
  readonly lost: number;
  readonly dispatcherDeaths: number;
  readonly calls: number;
  /** CPU time of the dispatcher and its store: calls, groups, leases, merges, restarts */
  readonly dispatcherCpuMs: number;
  /** CPU time of the longest look at the leases, or slice of an expiry, for which everybody else waits */
  readonly longestTickMs: number;
  /** of everything that happened, in order: equal for equal settings */
  readonly digest: string;
}

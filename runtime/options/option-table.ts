/**
 * Every option of a run, once: its key in a configuration file and in the library, its flag, and what it means. Free of
 * imports, so that `--help` need not load the schema (`runtime/options/options.ts`), which takes its descriptions from here.
 */

export interface OptionText {
  /** long flag, and the short one where there is one */
  readonly flag: string;
  /** placeholder of the value in the help; absent for switches */
  readonly value?: string;
  readonly help: string;
  /** as the help shows it; absent when there is none */
  readonly default?: string;
  /** may be given several times */
  readonly repeatable?: true;
  readonly group: 'what' | 'output' | 'workers' | 'failures' | 'stopping' | 'sources' | 'log';
}

export const OPTION_TABLE = {
  input: {
    flag: '-i, --input',
    value: 'PLACE',
    repeatable: true,
    group: 'what',
    help: 'event file, glob, folder, URL, @list-file, or - for a list on stdin',
  },
  events: { flag: '--events', value: 'LIST', group: 'what', help: 'positions in each file, such as 1-100,205,300-' },
  tree: {
    flag: '--tree',
    value: 'NAME',
    group: 'what',
    help: 'tree of ROOT files whose entries are the events, if there are several',
  },
  branches: {
    flag: '--branches',
    value: 'LIST',
    group: 'what',
    help: "branches of ROOT trees to read, such as 'nMuon,Muon_*'; '!NAME' leaves one out; by default all",
  },
  payload: { flag: '-p, --payload', value: 'NAME', group: 'what', help: 'built-in payload, or path of a module' },
  options: {
    flag: '--option',
    value: 'KEY=VALUE',
    repeatable: true,
    group: 'what',
    help: 'option of the payload',
  },
  seed: { flag: '--seed', value: 'N', group: 'what', default: '1', help: 'seed of the task' },
  limit: {
    flag: '-n, --limit',
    value: 'N',
    group: 'what',
    help: 'process at most N events in this call; not part of the run, the next call goes on',
  },
  out: { flag: '-o, --out', value: 'DIR', group: 'output', help: 'folder of the run: merged files, manifest, store' },
  eventsPerRange: {
    flag: '--events-per-range',
    value: 'N',
    group: 'output',
    default: '1',
    help: 'events leased together',
  },
  eventsPerOutput: {
    flag: '--events-per-output',
    value: 'N',
    group: 'output',
    help: 'events per merged file; by default one merged file per input file and stream',
  },
  mergeMode: {
    flag: '--merge-mode',
    value: 'MODE',
    group: 'output',
    default: 'fast',
    help: 'fast copies the bytes of each event, slow decodes and rewrites them',
  },
  mergePartial: {
    flag: '--merge-partial',
    group: 'output',
    help: 'merge what is there when the run stops before all events of an output are done',
  },
  sequence: {
    flag: '--sequence',
    value: 'RULE',
    group: 'output',
    default: 'EndEvent',
    help: 'when a worker closes an event file: EndEvent, NextEventRange, EndInputFile, events:N, bytes:N',
  },
  outputSizeMax: {
    flag: '--output-size-max',
    value: 'SIZE',
    group: 'output',
    default: '512M',
    help: 'largest output of one event on one stream',
  },
  fresh: { flag: '--fresh', group: 'output', help: 'remove the run in the output folder and begin anew' },
  verifyOutputs: {
    flag: '--verify-outputs',
    group: 'output',
    help: 'read complete merged files of earlier starts and compare checksums; else size and time are looked at',
  },
  acceptPayloadChange: {
    flag: '--accept-payload-change',
    group: 'output',
    help: 'go on although the payload file changed; the manifest tells which events were made by which',
  },
  workers: {
    flag: '-w, --workers',
    value: 'N',
    group: 'workers',
    default: 'CPU quota',
    help: 'events that are executed at a time',
  },
  isolation: {
    flag: '--isolation',
    value: 'KIND',
    group: 'workers',
    default: 'thread',
    help: 'thread, or process for payloads with native code',
  },
  heapMaxMB: {
    flag: '--heap-max',
    value: 'MB',
    group: 'workers',
    default: '768',
    help: 'JavaScript heap of one worker',
  },
  recycleAfterEvents: {
    flag: '--recycle-after-events',
    value: 'N',
    group: 'workers',
    help: 'replace a worker after N events',
  },
  recycleAboveMB: {
    flag: '--recycle-above',
    value: 'MB',
    group: 'workers',
    help: 'replace a worker whose heap and external memory exceed this',
  },
  order: {
    flag: '--order',
    value: 'ORDER',
    group: 'workers',
    default: 'file',
    help: 'file, or longest-first: the longest expected events first',
  },
  speculate: {
    flag: '--speculate',
    value: 'on|off',
    group: 'workers',
    default: 'on',
    help: 'start a second copy of stragglers when cores idle at the end',
  },
  timeout: {
    flag: '--timeout',
    value: 'RULE',
    group: 'failures',
    default: '1h',
    help: 'longest execution of one event: 60s, 10x (times the median after 20 events), or off',
  },
  hookTimeout: {
    flag: '--hook-timeout',
    value: 'TIME',
    group: 'failures',
    default: '10m',
    help: "longest run of a payload's prepare, initialize, finalize or report",
  },
  failuresMax: {
    flag: '--failures-max',
    value: 'N',
    group: 'failures',
    default: '3',
    help: 'bad executions after which an event is given up',
  },
  lossesMax: {
    flag: '--losses-max',
    value: 'N',
    group: 'failures',
    default: '10',
    help: 'losses of the consumer that held it, after which an event is given up',
  },
  halt: {
    flag: '--halt',
    value: 'RULE',
    group: 'failures',
    default: 'first=50',
    help: 'stop early: first=N (the first N executions all fail), fail=N, fail=5%, or off',
  },
  walltime: {
    flag: '--walltime',
    value: 'TIME',
    group: 'stopping',
    help: 'end within this time, such as 55m; what does not fit is returned',
  },
  grace: {
    flag: '--grace',
    value: 'TIME',
    group: 'stopping',
    default: '20s',
    help: 'what a drain may take; events that last longer are given back',
  },
  catalog: {
    flag: '--catalog',
    value: 'FILE',
    group: 'sources',
    help: 'POOL file catalogue with the replicas of input files',
  },
  index: {
    flag: '--index',
    value: 'DIR',
    group: 'sources',
    help: 'event index shared between runs (see granule index); by default each run keeps its own',
  },
  cache: { flag: '--cache', value: 'DIR', group: 'sources', help: 'disk cache of remote data, shared between runs' },
  cacheSize: { flag: '--cache-size', value: 'SIZE', group: 'sources', default: '10G', help: 'bound of the cache' },
  prefetch: {
    flag: '--prefetch',
    value: 'SIZE',
    group: 'sources',
    default: '64M',
    help: 'remote data fetched ahead of what workers asked for, at most',
  },
  patience: {
    flag: '--patience',
    value: 'TIME',
    group: 'sources',
    default: '2m',
    help: 'how long all replicas of a file may fail before the run stops early; a quarter for a file never reached',
  },
  tlsCa: { flag: '--tls-ca', value: 'FILE', group: 'sources', help: 'certificates (PEM) of authorities to trust, too' },
  allowPlainHttp: {
    flag: '--allow-plain-http',
    group: 'sources',
    help: 'let bearer tokens travel over http, and https redirect to http',
  },
  logLevel: {
    flag: '--log-level',
    value: 'LEVEL',
    group: 'log',
    default: 'info',
    help: 'what is written to the logs in .granule: trace, debug, info, warn, error or silent',
  },
} as const satisfies Record<string, OptionText>;

/** Key of an option in a configuration file and in the library. */
export type OptionKey = keyof typeof OPTION_TABLE;

export const OPTION_KEYS = Object.keys(OPTION_TABLE) as readonly OptionKey[];

/** `--events-per-range` of `eventsPerRange`. */
export function flagOf(key: OptionKey): string {
  return OPTION_TABLE[key].flag.replace(/^-\w, /, '');
}

/** `GRANULE_EVENTS_PER_RANGE` of `eventsPerRange`. */
export function environmentNameOf(key: OptionKey): string {
  return `GRANULE_${key.replace(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()}`;
}

/**
 * Every bound of granule: unit in the name, reason in the comment. Nothing else in the source holds a bare limit.
 * Relations between limits are asserted at the end of the file, at load.
 */
import { assert } from './assert.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

// --- input and formats
/** What a format may look at to recognise a file: enough for a comment block before the first keyword. */
export const RECOGNISE_BYTES_MAX = 64 * KiB;
/** Read size while indexing: large enough that syscalls do not matter, small enough for the cache. */
export const INDEX_READ_BYTES = 1 * MiB;
/** One event's bytes; more is refused at indexing, since an event is held in memory whole. */
export const EVENT_BYTES_MAX = 512 * MiB;
/** Threads that index files at once: hashing and reading are soon bound by the disk. */
export const INDEXING_THREADS_MAX = 8;
/** Run information (header, weight names) that precedes events; held in memory by each worker. */
export const RUN_HEADER_BYTES_MAX = 64 * MiB;

/** Upper bound of an event index: address space, not disk. At three bytes an event room for 10^11 events. */
export const EVENT_INDEX_MAP_BYTES = 256 * 1024 * MiB;
/** Unpacked blocks an open event index keeps, of each kind: 128 events and 1.5 to 3 kB each. */
export const EVENT_INDEX_CACHED_BLOCKS = 4096;

/** Text the event generator gathers before it writes: few syscalls, little memory. */
export const GENERATOR_CHUNK_BYTES = 256 * KiB;

/** Levels of a value of a ROOT branch: vectors of objects of vectors; deeper ones point in a ring. */
export const ENTRY_DEPTH_MAX = 64;

// --- dispatcher
/** Ranges handed out by one request; PanDA's clients were seen asking for 737 136. */
export const RANGES_PER_REQUEST_MAX = 10_000;
/** Updates accepted in one request. */
export const UPDATES_PER_REQUEST_MAX = 10_000;

/**
 * Ranges whose states are cached and written together. Small, because a change of one rewrites all; and three chunks of
 * merged ranges (a byte of execution length each, and little else) fit one 4096-byte page with their keys.
 */
export const RANGES_PER_CHUNK = 1280;
/** Chunks that stay in memory, up to 12 kB each, per task: enough for five million ranges in flight. */
export const CHUNKS_CACHED = 4096;
/** Execution failures, and losses, after which a range is fatal, unless the task says otherwise. */
export const FAILURES_MAX_DEFAULT = 3;
export const LOSSES_MAX_DEFAULT = 10;
/** A consumer that was not heard of for so long is gone; PanDA waits two hours. */
export const LEASE_MS_DEFAULT = 120_000;
/** How often leases are looked at, as a part of their length. */
export const LEASE_CHECKS = 32;
/** Ranges taken back from a silent consumer before other work gets its turn: a few ms. */
export const EXPIRY_SLICE_RANGES = 20_000;
/** A range held at so many deaths of the whole program in a row is run alone. */
export const SUSPECT_DEATHS = 3;
/** Suspects handed out and not yet done, in one task: if the program dies again, it was that one. */
export const SUSPECTS_AT_ONCE = 1;
/** A range in execution at so many deaths of the whole program in a row is fatal. */
export const PROGRAM_DEATHS_MAX = 10;
/** Merges of one output that fail with no progress between them before its damaged ranges are given up. */
export const MERGE_FAILURES_MAX = 5;
/** At the end of a task so many ranges are handed out longest first; their outputs wait longer to be merged. */
export const TAIL_RANGES_MAX = 4096;
/** Files whose rows are one entry of the store. */
export const FILES_PER_BLOCK = 256;
/** What is kept of one failure: message, stack and log lines together. */
export const FAILURE_BYTES_MAX = 16 * KiB;
/** Failures of a task kept with log and stack; of later ones only cause and message are kept. */
export const FAILURES_WITH_LOG_MAX = 10_000;
/** A task's free-form record. */
export const TASK_RECORD_BYTES_MAX = 1 * MiB;
/** A commit that takes longer is as good as failed: the disk hangs. */
export const COMMIT_MS_MAX = 120_000;
/** Free space below which nothing is written to the store: the run stops while it can still say so. */
export const STORE_RESERVE_BYTES = 16 * MiB;
/** How often the lock record is renewed, and how old one of an unreachable host must be to be taken over. */
export const LOCK_RENEW_MS = 10_000;
export const LOCK_STALE_MS = 60_000;
/** How often its holder looks whether the store was taken from it; and what it then has to end, a merge included. */
export const LOCK_CHECK_MS = 1_000;
export const LOCK_HANDOVER_MS = 15_000;

// --- payloads
/** Importing a payload module and checking its options; beyond it the module is taken to hang. */
export const PAYLOAD_LOAD_TIMEOUT_MS = 30_000;
/** What `prepare` and `report` get to end by themselves once they are aborted. */
export const PAYLOAD_ABORT_GRACE_MS = 2_000;
/** Packages left out of one bundle because they cannot be bundled: each costs another build. */
export const PAYLOAD_EXTERNAL_PACKAGES_MAX = 20;
/** Bins of one histogram. */
export const HISTOGRAM_BINS_MAX = 10_000;
/** Histograms of one stream: their sums are kept in memory while merging, and in the journal. */
export const HISTOGRAMS_MAX = 1_000;
/** Weights and edges of bins: of w, w², w·x and w·x², 10^8 of the largest add up within the range of a double. */
export const HISTOGRAM_VALUE_MAX = 1e100;
/** A value found, as shown in a message. */
export const SHOWN_VALUE_CHARS_MAX = 80;
/** An object thrown that is no error, as shown in a message. */
export const THROWN_VALUE_CHARS_MAX = 500;
/** The end of what a child process printed, kept for the report of a failure. */
export const CHILD_TAIL_BYTES = 32 * KiB;
/** Between SIGTERM and SIGKILL of a child process: well within what an aborted event has to come back. */
export const CHILD_TERM_GRACE_MS = 1_000;
/** What the pipes of an ended child may stay open: something it started may have left its process group with them. */
export const CHILD_DRAIN_MS = 1_000;
/** Output of a command for one event, which is held in memory. */
export const COMMAND_OUTPUT_BYTES_MAX = 512 * MiB;
/** An event given to a co-process within a line; a larger one is given as a file. */
export const COPROCESS_INLINE_BYTES_MAX = 16 * MiB;
/** One line of a co-process; whoever writes more hands over a file. */
export const COPROCESS_LINE_BYTES_MAX = 64 * MiB;
/** From the start of a co-process to its `ready`, unless told otherwise. */
export const COPROCESS_INIT_TIMEOUT_MS_DEFAULT = 60_000;
/** What a co-process may take to end by itself when there are no more events. */
export const COPROCESS_FINISH_MS = 5_000;
/** Log messages of a co-process passed on for one event; the rest is counted. */
export const COPROCESS_LOG_LINES_PER_EVENT = 1_000;

// --- runtime
/** The longest time that can be chosen: Node's timers take no more (and fire at once if they are given more). */
export const DURATION_MS_MAX = 2 ** 31 - 1;
/**
 * Places of inputs that may join a task later, kept with it, all together, in UTF-16 units: in UTF-8 they and the rest of
 * the record stay within `TASK_RECORD_BYTES_MAX`.
 */
export const LATE_PLACES_LENGTH_MAX = 256 * KiB;
/** Worker threads of one node. */
export const WORKERS_MAX = 256;
/** Tokens of one batch. */
export const CREDIT_MAX = 1024;
/** Batches a worker has: the one it executes, and the next one, so that it need not wait for a round trip. */
export const BATCHES_PER_WORKER = 2;
/** Messages queued on a channel before `send` waits. */
export const CHANNEL_HIGH_WATER_MARK = 4096;
/** Tokens, and bytes that ride with them, in one message of the token extractor. */
export const EXTRACT_TOKENS = 256;
export const EXTRACT_FRAMES_BYTES = 1 * MiB;
/** Bytes that may ride with tokens waiting in the node's memory, beside the batches of workers. */
export const QUEUED_FRAMES_BYTES_MAX = 64 * MiB;
/** Ranges leased ahead of the workers: this much work, within the bounds that follow. */
export const LEASE_AHEAD_MS = 1_000;
export const LEASE_AHEAD_MAX = 4096;
/** The same when bytes are fetched: several round trips to a far server. */
export const LEASE_AHEAD_FETCHED_MS = 3_000;
/** Ranges leased ahead when bytes are fetched and no execution has been measured yet. */
export const LEASE_AHEAD_UNMEASURED = 64;
/** Events of at least this mean length let the code between them wait for being optimized. */
export const LONG_EVENT_MS = 1;
/**
 * Bytecode of a function that is executed, in bytes, before V8 11 thinks about optimizing it: its own default, and what it is
 * told where events are long.
 */
export const CODE_EXECUTED_BYTES = 66 * KiB;
export const CODE_EXECUTED_BYTES_LONG_EVENTS = 20 * CODE_EXECUTED_BYTES;
/**
 * Reports gather for so long after the last ones were sent, unless they are many, some tell of a failure, or nothing is in
 * the hands of workers: where each record costs the workers a millisecond, ten a second are enough.
 */
export const REPORTS_GATHER_MS = 100;
export const REPORTS_GATHERED_MAX = 64;
/** How often a consumer tells the dispatcher that it lives; a lease lasts several of these. */
export const HEARTBEAT_MS = 5_000;
/** A payload's `prepare`, `initialize`, `finalize` and `report` may take this long, unless told otherwise. */
export const HOOK_TIMEOUT_MS_DEFAULT = 10 * 60_000;
/** How long `granule stop` waits for a run to end. */
export const STOP_WAIT_MS = 120_000;
/** How often a run tells its progress. */
export const PROGRESS_MS = 500;
/** Committed ranges that are looked at to list in the manifest which payload made them. */
export const MANIFEST_RANGES_SCANNED_MAX = 2_000_000;
/** What a worker reads from a local file at once when its next tokens are neighbours. */
export const EVENT_READ_WINDOW_BYTES = 1 * MiB;
/**
 * A batch is sized to about this much work. Nobody waits for the next one, but where all cores compute, each batch takes
 * about a millisecond from the workers, for its hand-out, its reports and their record. Not more, since what is executed is
 * recorded when its batch is.
 */
export const BATCH_WORK_MS = 250;
/**
 * Once nothing is left to be leased, a batch is this part of a worker's share of what is queued: batches shrink to single
 * tokens (guided self-scheduling), and none holds a long event back to the end. They need not be shorter than so much work.
 */
export const TAIL_BATCHES_PER_SHARE = 4;
export const TAIL_BATCH_WORK_MS = 2;
/** The same for a worker that is a process, whose tokens cannot be taken back once it has them. */
export const PROCESS_BATCH_WORK_MS = 2;
/** An output of more bytes goes to its file piece by piece instead of being gathered in memory. */
export const OUTPUT_GATHER_BYTES = 1 * MiB;
/** An output of at most so many bytes is created in its place by one write, which leaves it whole or empty: a page. */
export const OUTPUT_AT_ONCE_BYTES_MAX = 4 * KiB;
/** Memory for copies of small outputs that are not merged yet: as many as may be unmerged, where each has all it may. */
export const RECENT_OUTPUTS_BYTES = 32 * MiB;
/** Copies of small outputs of neighbouring ranges, each stream counted, of which the places are known. */
export const RECENT_OUTPUTS_MAX = 65_536;
/** Output of one event on one stream, unless told otherwise. */
export const OUTPUT_BYTES_MAX_DEFAULT = 512 * MiB;
/**
 * Files made and not merged, or being made; beyond it no new ranges are handed out. Those of a stretch that was just merged
 * lie on disk beside them until they are removed.
 */
export const UNMERGED_FILES_MAX = 8192;
/** Files in one folder of the aggregation point: a shard. */
export const SHARD_RANGES = 1024;
/** Disk cache of remote data, unless told otherwise. */
export const CACHE_BYTES_DEFAULT = 10 * 1024 * MiB;
/** Executions measured before a time-out may be a multiple of their median. */
export const EVENTS_FOR_MEDIAN = 20;
/** Events processed before a halt rule looks at the fraction that failed. */
export const EVENTS_FOR_HALT_FRACTION = 20;
/** How often a worker looks whether its asynchronous event is over its time-out, and a supervisor at its workers. */
export const TIMEOUT_CHECK_MS = 100;
/** After the time-out a payload that has asked for the signal has this long to end its children before it is given up. */
export const TIMEOUT_GRACE_MS = 5000;
/** Beyond its time-out a thread that does not even notice (an endless loop) is terminated after this long. */
export const TIMEOUT_STUCK_MS = 500;
/** A worker that should go on and does not, in no event and no hook, has at least this long: closing files takes its time. */
export const DEAF_MS_MIN = 3_000;
/**
 * JavaScript heap of one worker, unless told otherwise. Below the 900 MB of an array of 112 million numbers: V8 ends the
 * process when such a one is made longer, whatever the limit.
 */
export const HEAP_MB_DEFAULT = 768;
/**
 * V8's own limit of a thread lies so far above: what one call of native code can make (an array of 112 million entries, a
 * string of 512 MB) fits in between. Address space, not memory.
 */
export const HEAP_RESERVE_MB = 4096;
/** What a worker's thread holds at least, about half of what one has that has just begun: many of them are much, and no reason to look. */
export const HEAP_THREAD_BYTES_MIN = 8 * MiB;
/** How often a process that holds more than the heap of one worker may is looked into. */
export const HEAP_CHECK_MS = 50;
/** The same while it holds less than half of that: no thread grows from there beyond V8's own limit in that time. */
export const HEAP_CHECK_FAR_MS = 200;
/** A thread that has not answered for so long is asked again: each question waits until native code is over. */
export const HEAP_ANSWER_MS = 5_000;
/** When a process has grown by this part of the limit, all its workers are asked at once for what they hold. */
export const HEAP_GROWTH_PART = 1 / 8;
/** What workers have to finalize their payload when a run stops at once. */
export const CLOSE_MS = 1_000;
/** Of the grace time of a drain, what is kept for recording, merging and reporting, and the part of it at most. */
export const DRAIN_RESERVE_MS = 2_000;
export const DRAIN_RESERVE_FRACTION = 0.25;
/** Sessions in a row that may end before their payload is initialized. */
export const INIT_FAILURES_MAX = 3;
/** Log lines of a payload kept per event, for the report of a failure. */
export const LOG_TAIL_LINES = 40;
/** Length of one kept log line. */
export const LOG_LINE_CHARS_MAX = 2000;

/** End of a worker's log that is searched for the lines of the event its worker died of. */
export const LOG_TAIL_BYTES = 64 * KiB;
/** How often threads that were told to end are looked at, and how many times: what they wait for is killed. */
export const STUCK_CHECK_MS = 100;
export const STUCK_CHECKS_MAX = 50;
/** Threads of a run that were told to end and live on in native code; with more the run stops. */
export const STUCK_THREADS_MAX = 32;

/** Tries to stage one file out before the run stops: with the back-off below about 0.6 s of trouble are ridden out. */
export const STAGE_OUT_ATTEMPTS_MAX = 6;
/** Pause after the first failed try; doubled each time. */
export const STAGE_OUT_BACKOFF_MS = 20;
/** Buffer of a copy between file systems. */
export const STAGE_OUT_COPY_BYTES = 256 * KiB;

// --- merging
/** Ranges of one merge stretch: enough that its flush and its commit cost little, few enough to be done in a second. */
export const MERGE_STRETCH_RANGES_MAX = 4096;
/** Ranges that are worth a stretch while more are on their way, if their outputs are small. */
export const MERGE_STRETCH_RANGES_MIN = 2048;
/** Unmerged bytes that are worth a stretch, however few ranges they are. */
export const MERGE_STRETCH_BYTES_MIN = 16 * MiB;
/** Unmerged bytes of one stretch, so that large outputs are committed, and their files removed, in time. */
export const MERGE_STRETCH_BYTES_MAX = 64 * MiB;
/** Outputs that are merged at once: while one waits for its flush and commit, another is appended to. */
export const MERGE_OUTPUTS_AT_ONCE = 2;
/** Outputs of one range that the merger reads into its standing buffer; larger ones have a buffer of their own. */
export const MERGE_BUFFER_BYTES = 1 * MiB;
/** Small outputs are gathered to writes of this size. With what is being read it fits a core's cache. */
export const MERGE_WRITE_BYTES = 256 * KiB;
/** Unmerged files shared by several ranges whose headers the merger remembers: a few for each worker. */
export const MERGE_SHARED_FILES_MAX = 2 * WORKERS_MAX;
/** Events that failed for good which the manifest lists; the event table has them all. */
export const MANIFEST_FAILED_EVENTS_MAX = 10_000;
/** Intervals of events that the manifest lists for one output or payload. */
export const MANIFEST_INTERVALS_MAX = 1000;
/** Input files compared with what the event index knows between two yields of the main thread: a few milliseconds. */
export const INDEX_CHECK_SLICE_FILES = 128;
/** Files looked at, or removed, between two yields of the main thread: a few milliseconds. */
export const ADOPTION_SLICE_FILES = 256;
/** Read size when a merged file is hashed: some 1 ms, between which the files of a stretch are removed. */
export const MERGE_HASH_BYTES = 1 * MiB;

// --- remote input
/** Gap between two ranges that is read along rather than asked around. */
export const REMOTE_GAP_BYTES_MAX = 64 * KiB;
/** What closing gaps may waste, of the bytes needed: below the 5 % that are promised. */
export const REMOTE_GAP_WASTE_MAX = 0.03;
/** The header of one part of a multipart answer: a smaller gap costs less than another part. */
export const REMOTE_PART_OVERHEAD_BYTES = 100;
/** Ranges asked for in one request, step by step fewer when a host cannot take them; servers fail beyond 1024. */
export const REMOTE_RANGES_LADDER = [200, 50, 20, 5, 1] as const;
/** A host that takes no more ranges than this has all gaps closed: there a round trip costs more than the bytes. */
export const REMOTE_GENEROUS_RANGES = 5;
/** Length of a `Range` header: servers commonly take 8 kB for all headers of a line. */
export const REMOTE_RANGE_HEADER_CHARS_MAX = 7_500;
/** Bytes asked for in one request, unless a single range is longer. */
export const REMOTE_REQUEST_BYTES_MAX = 16 * MiB;
/** Allowance for headers per part of a multipart answer; a longer body is not what was asked for. */
export const REMOTE_MULTIPART_SLACK_BYTES = 4 * KiB;
/** Redirects followed: a federation has a global and a local redirector before the data server. */
export const REMOTE_REDIRECTS_MAX = 5;
/** Connections to one host, each with one request at a time. */
export const REMOTE_CONNECTIONS_PER_HOST = 8;
/** Time for a connection to be made, name look-up and TLS included. */
export const REMOTE_CONNECT_MS = 10_000;
/** Silence after which a transfer has failed; progress, not total time, is what counts. */
export const REMOTE_SILENCE_MS = 30_000;
/** How long a read goes on trying while every replica fails: a server's restart should fit in. */
export const REMOTE_PATIENCE_MS = 120_000;
/** First and longest bound of the pauses between tries. */
export const REMOTE_BACKOFF_BASE_MS = 100;
export const REMOTE_BACKOFF_MAX_MS = 20_000;
/** Longest `Retry-After` that is honoured. */
export const REMOTE_RETRY_AFTER_MAX_MS = 60_000;
/** Failures in a row after which a host is left alone. */
export const HOST_FAILURES_TO_OPEN = 8;
/** First and longest pause for a host that is left alone. */
export const HOST_PAUSE_BASE_MS = 500;
export const HOST_PAUSE_MAX_MS = 30_000;
/** A token file is read again after so long: agents renew it while a run is on. */
export const BEARER_TOKEN_REREAD_MS = 60_000;
/** Passes through a file that can only be read in order: the main one, and one for events done again. */
export const SEQUENTIAL_PASSES_MAX = 2;
/** Read size of local compressed files. */
export const LOCAL_READ_BYTES = 256 * KiB;
/** Local reads up to this size are done on the spot while they are quick, and by another thread after one that was not. */
export const QUICK_READ_BYTES_MAX = 128 * KiB;
export const QUICK_READ_MS_MAX = 2;
/** Local reads that another thread does after a slow one: the first time, and at most after several. */
export const SLOW_READ_PAUSE_MIN = 16;
export const SLOW_READ_PAUSE_MAX = 1024;
/** Bytes fetched ahead of the events handed out, unless told otherwise. */
export const PREFETCH_BYTES_DEFAULT = 64 * MiB;
/** Where the look-ahead begins before anything has been measured: a few events of common size. */
export const PREFETCH_WINDOW_BYTES_MIN = 512 * KiB;
/** Bytes per request of the prefetch: an event is there when its whole request is, so this bounds its wait. */
export const PREFETCH_GROUP_BYTES_MIN = 128 * KiB;
export const PREFETCH_GROUP_BYTES_MAX = 4 * MiB;
/** Events per request of the prefetch: bounds the work between two turns of the event loop. */
export const PREFETCH_GROUP_EVENTS_MAX = 4096;
/** Requests of the prefetch under way. */
export const PREFETCH_REQUESTS_MAX = 8;
/** Connections made ahead of the first read to a host, and to how many hosts: a distant one costs a round trip more. */
export const EXPECTED_CONNECTIONS = 6;
export const EXPECTED_HOSTS_MAX = 8;
/** Remote inputs asked for at once, and read at once, when they are indexed: the line is soon full. */
/** Local files that an indexing thread is given at once: it commits them together, and a commit costs what some files do. */
export const LOCAL_FILES_GIVEN_MAX = 64;
/** A thread is given one of so many parts of its share of what waits. */
export const LOCAL_FILES_SHARE = 8;
export const REMOTE_FILES_ASKED_MAX = 32;
export const REMOTE_FILES_READ_MAX = 4;
/** Files kept open (connections, descriptors, inflaters) at the same time. */
export const REMOTE_FILES_OPEN_MAX = 64;
/** A cached piece's time of last use is renewed no more often than this. */
export const CACHE_TOUCH_INTERVAL_MS = 60_000;
/** Events looked up at once by `granule index query`. */
export const INDEX_QUERY_EVENTS = 1024;
/** Event server: bytes read and sent at once. */
export const SERVED_CHUNK_BYTES = 512 * KiB;
/** Event server: buffers of that size kept for the next answers. */
export const SERVED_BUFFERS_KEPT = 32;
/** Event server: ranges in one request; more, and the whole file is sent. */
export const SERVED_RANGES_MAX = 256;
/** Event server: events looked up at once while streaming. */
export const SERVED_SPAN_EVENTS = 1024;
/** Event server: files kept open. */
export const SERVED_FILES_OPEN_MAX = 256;
/** Event server: files in one answer of the list. */
export const SERVED_LIST_FILES_MAX = 1000;
/** Event server: event numbers in one query. */
export const SERVED_LOOKUPS_MAX = 100_000;
/** Event server: body of a request for byte ranges, 12 bytes each. */
export const SERVED_RANGES_BODY_BYTES_MAX = 4 * MiB;
/** Inflated bytes per step of the inflater. */
export const INFLATE_CHUNK_BYTES = 256 * KiB;

/** Entries of a ROOT tree unpacked together, as bytes in memory: several small clusters, so that a call is worth it, */
export const ROOT_GROUP_BYTES = 8 * MiB;
/** and of a larger cluster this much at a time. */
export const ROOT_GROUP_BYTES_MAX = 32 * MiB;
/** Groups unpacked ahead of the events handed out, */
export const ROOT_GROUPS_AHEAD = 1;
/** and groups kept of those that were handed out in part: a file's own, and one for events done again. */
export const ROOT_GROUPS_KEPT = 2;
/** ROOT files kept open by the thread that reads them: their tree, list of baskets and class descriptions. */
export const ROOT_FILES_OPEN_MAX = 8;
/** The thread that reads ROOT files asks for bytes or answers within this time, or is held to hang. */
export const ROOT_SILENCE_MS = 180_000;
/** While it waits for bytes, which a server may take its time for, it gives a sign this often. */
export const ROOT_SIGN_MS = 10_000;

// --- command line
/** A configuration file: who has more inputs than fit in here gives a list, `@FILE`. */
export const CONFIG_BYTES_MAX = 256 * KiB;
/** Redraws of the progress line on a terminal are this far apart. */
export const PROGRESS_REDRAW_MS = 100;
/** Plain progress lines are this far apart, or by this part of the events, */
export const PROGRESS_LINE_MS = 30_000;
export const PROGRESS_LINE_FRACTION = 0.05;
/** but never nearer than this, so that a quick run does not write a line for each hundredth of a second. */
export const PROGRESS_LINES_APART_MS = 2_000;
/** The rate shown is that of this stretch of time, so that it follows what happens now. */
export const PROGRESS_RATE_WINDOW_MS = 20_000;
/** Notices of one kind before they are only counted. */
export const NOTICES_PER_KIND_MAX = 10;
/** Rows of one part of the result table; the manifest has them all. */
export const SUMMARY_ROWS_MAX = 20;
/** Output files that a plan names; a run makes all of them. */
export const PLAN_OUTPUTS_MAX = 1000;
/** What a plan reckons per range and per event: the event table unmerged, and the event index, as measured, rounded up. */
export const PLAN_TABLE_BYTES_PER_RANGE = 6;
export const PLAN_INDEX_BYTES_PER_EVENT = 10;
/** Ranges that a listing reads from the event table at a time. */
export const LISTING_PAGE_RANGES = 1000;
/** Rows of a listing for people, unless told otherwise. */
export const LISTING_ROWS_DEFAULT = 50;
/** An event that is executed by itself is looked for in the merged file by windows of this length. */
export const EXEC_COMPARE_WINDOW_BYTES = 8 * 1024 * 1024;
/** How often a demonstration looks whether a run is half done. */
export const HALFWAY_LOOK_MS = 50;
/** At its end the program waits so long for threads that are stuck in native code. */
export const STUCK_END_MS = 2_000;
/** What a forced end may take before the process ends itself. */
export const FORCED_END_MS = 5_000;

// --- relations
assert(TIMEOUT_GRACE_MS > CHILD_TERM_GRACE_MS + CHILD_DRAIN_MS, 'children of an aborted event are ended in time');
assert(CHANNEL_HIGH_WATER_MARK >= BATCHES_PER_WORKER * WORKERS_MAX, 'each batch may be a message under way');
assert(OUTPUT_AT_ONCE_BYTES_MAX <= RECENT_OUTPUTS_BYTES, 'a small output has room among the recent ones');
assert(2 ** 32 % RECENT_OUTPUTS_BYTES === 0, 'the ring goes on where it was when its count of bytes begins anew');
assert(MERGE_STRETCH_RANGES_MIN <= MERGE_STRETCH_RANGES_MAX, 'a stretch has room for what is worth one');
assert(MERGE_STRETCH_BYTES_MIN <= MERGE_STRETCH_BYTES_MAX, 'a stretch has room for what is worth one');
assert(CREDIT_MAX < 0x8000, 'a batch fits its claim word');
assert(PREFETCH_WINDOW_BYTES_MIN >= 2 * PREFETCH_GROUP_BYTES_MIN, 'two requests fit into the smallest look-ahead');
assert(REMOTE_FILES_READ_MAX < REMOTE_CONNECTIONS_PER_HOST, 'a host can be asked while files of it are read');
assert(PREFETCH_GROUP_BYTES_MAX <= REMOTE_REQUEST_BYTES_MAX, 'a request of the prefetch is one request');
assert(LOCK_HANDOVER_MS > LOCK_CHECK_MS, 'who has to end must have seen so');
assert(LOCK_STALE_MS >= 3 * LOCK_RENEW_MS, 'a busy holder may miss a renewal');
assert(UNMERGED_FILES_MAX >= 2 * SHARD_RANGES, 'merging must be able to lag behind by a shard');

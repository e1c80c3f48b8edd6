/** Output formats: what they write, take apart and join. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FormatName } from '../../../core/file-index.ts';
import {
  type EventStreamInfo,
  OUTPUT_FORMAT_NAMES,
  type OutputFormatName,
  type SplitOutput,
} from '../../../payloads/formats/event-format.ts';
import { EMPTY_INFO, uniteInfo } from '../../../payloads/formats/event-stream-info.ts';
import { inputFormat, outputFormat } from '../../../payloads/formats/registry.ts';
import { indexBytes } from './indexed.ts';

const INFO: EventStreamInfo = { ...EMPTY_INFO, eventCount: 1, runNumbers: [7], processingTags: ['granule'] };
const HEPMC3_HEADERS = ['', 'W a\n', 'W b\nT tool\\|1\\|\n'].map(
  (extra) => `HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\n${extra}`,
);
const HEPMC2_HEADERS = ['2.06', '2.07'].map((v) => `HepMC::Version ${v}\nHepMC::IO_GenEvent-START_EVENT_LISTING\n`);
const LHE_HEADERS = ['seed 1', 'seed 2'].map(
  (seed) => `<LesHouchesEvents version="1.0">\n<header>\n${seed}\n</header>\n<init>\n1\n</init>\n`,
);

/** Those that join record to record; histograms are added up (histogram.test.ts). */
type RecordFormatName = Exclude<OutputFormatName, 'histogram'>;
const RECORD_FORMATS = OUTPUT_FORMAT_NAMES.filter((name): name is RecordFormatName => name !== 'histogram');

/** Values and run headers to write each format with. */
const EXAMPLES: Readonly<
  Record<
    RecordFormatName,
    { readonly inputFormat: FormatName; readonly headers: readonly string[]; value(n: number): unknown }
  >
> = {
  ndjson: { inputFormat: 'lhe', headers: [''], value: (n) => ({ n, text: 'line\nend' }) },
  gev: { inputFormat: 'hepmc3', headers: [''], value: (n) => ({ n, hits: Float32Array.of(n, 0.5) }) },
  hepmc3: {
    inputFormat: 'hepmc3',
    headers: HEPMC3_HEADERS,
    value: (n) => Buffer.from(`E ${n} 0 1\nU GEV MM\nP 1 0 11 0 0 1 1 0 1\n`),
  },
  hepmc2: {
    inputFormat: 'hepmc2',
    headers: HEPMC2_HEADERS,
    value: (n) => Buffer.from(`E ${n} 0 1 1 1 0 0 0 0 0 0 0\nU GEV MM\n`),
  },
  lhe: {
    inputFormat: 'lhe',
    headers: LHE_HEADERS,
    value: (n) => Buffer.from(`<event>\n1 ${n} 1 1 1 1\n11 1 0 0 0 0 0 0 1 1 0 0 9\n</event>\n`),
  },
  bytes: { inputFormat: 'lhe', headers: [''], value: (n) => Buffer.alloc(n % 5, n) },
};

interface MadeFile {
  readonly file: Buffer;
  readonly header: Buffer;
  readonly body: Buffer;
}

function make(name: RecordFormatName, header: number, numbers: readonly number[]): MadeFile {
  const format = outputFormat(name);
  const example = EXAMPLES[name];
  const runHeader = Buffer.from(example.headers[header % example.headers.length] ?? '');
  const begin = Buffer.from(format.begin({ stream: 'HITS', runHeader, inputFormat: example.inputFormat }));
  const body = Buffer.concat(
    numbers.map((n) => format.encode(example.value(n), { position: n + 1, eventNumber: n, runNumber: 7 })),
  );
  return { file: Buffer.concat([begin, body, format.end(INFO)]), header: begin, body };
}

const filesOf = fc.array(fc.record({ header: fc.nat(2), numbers: fc.array(fc.nat(1000), { maxLength: 4 }) }), {
  maxLength: 12,
});

/** Joins with the state carried over where `restarts` says so, in a file that grows. */
function join(name: RecordFormatName, parts: readonly SplitOutput[], restarts: readonly boolean[]): Buffer {
  const format = outputFormat(name);
  let joiner = format.createJoiner(undefined, 'HITS');
  let merged = Buffer.alloc(0);
  parts.forEach((part, index) => {
    if (restarts[index]) joiner = format.createJoiner(Uint8Array.from(joiner.state()), 'HITS');
    merged = Buffer.concat([merged, ...joiner.append(part, merged.length)]);
  });
  return Buffer.concat([merged, joiner.finish(merged.length)]);
}

describe.each(RECORD_FORMATS)('%s', (name) => {
  it('is taken apart into what it was made of', () => {
    fc.assert(
      fc.property(fc.nat(2), fc.array(fc.nat(1000), { maxLength: 5 }), (header, numbers) => {
        const made = make(name, header, numbers);
        const part = outputFormat(name).split(made.file);
        expect(made.header.equals(part.header)).toBe(true);
        expect(made.body.equals(part.body)).toBe(true);
        expect(part.recordCount).toBe(name === 'bytes' ? Number.NaN : numbers.length);
        expect(part.info).toEqual(name === 'gev' ? INFO : undefined);
      }),
    );
  });

  it('is joined the same in one go and with restarts anywhere', () => {
    fc.assert(
      fc.property(filesOf, fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (files, restarts) => {
        const parts = files.map(({ header, numbers }) => outputFormat(name).split(make(name, header, numbers).file));
        const whole = join(name, parts, []);
        expect(join(name, parts, restarts).equals(whole)).toBe(true);
        if (name === 'bytes' || (name === 'ndjson' && whole.length === 0)) return;
        const { events } = indexBytes(whole, [1000], name);
        const numbers = files.flatMap((file) => file.numbers);
        expect(events).toHaveLength(numbers.length);
        if (name === 'gev') expect(outputFormat(name).split(whole).recordCount).toBe(numbers.length);
      }),
      { numRuns: 50 },
    );
  });

  it('comes out of a slow merge as it went in', () => {
    const { body } = make(name, 0, [1, 2, 3]);
    expect(body.equals(outputFormat(name).rewrite(body))).toBe(true);
  });

  it('refuses what it cannot hold', () => {
    const meta = { position: 1, eventNumber: 1 };
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    const wrong = {
      ndjson: [undefined, () => 1, cyclic, 1n, Buffer.from('{}\n{}\n'), Buffer.from('words')],
      gev: [undefined, () => 1, Symbol('s')],
      hepmc3: [
        'E 1 0 0\n',
        Buffer.from('P 1\n'),
        Buffer.from('E 1 0 0\nE 2 0 0\n'),
        Buffer.from('E 1 0 0\nHepMC::x\n'),
      ],
      hepmc2: [null, Buffer.from('')],
      lhe: [Buffer.from('<event>\n'), Buffer.from('<event>\n</event>\n<event>\n</event>\n'), Buffer.from('event')],
      bytes: ['text', 1],
    }[name];
    for (const value of wrong) {
      expect(() => outputFormat(name).encode(value, meta)).toThrow(
        expect.objectContaining({ code: 'PAYLOAD_OUTPUT_INVALID' }),
      );
    }
  });
});

describe('damage', () => {
  it.each(['ndjson', 'gev', 'hepmc3', 'hepmc2', 'lhe'] as const)('to a cut %s file is noticed', (name) => {
    const { file } = make(name, 0, [1, 2]);
    for (let length = 1; length < file.length - 1; length += 1) {
      if (name === 'ndjson' && file[length - 1] === 10) continue;
      expect(() => outputFormat(name).split(file.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'OUTPUT_DAMAGED' }),
      );
    }
  });

  it.each(['ndjson', 'gev', 'hepmc3', 'hepmc2', 'lhe'] as const)(
    'to a %s record is noticed by a slow merge',
    (name) => {
      const { body } = make(name, 0, [1]);
      const broken = Buffer.from(body);
      broken[broken.length - (name === 'ndjson' ? 2 : 6)] = 0x21;
      expect(() => outputFormat(name).rewrite(broken)).toThrow(expect.objectContaining({ code: 'OUTPUT_DAMAGED' }));
    },
  );
});

describe('listings', () => {
  it('begin with the default header when the input is of another format', () => {
    for (const name of ['hepmc3', 'hepmc2', 'lhe'] as const) {
      const format = outputFormat(name);
      const begin = format.begin({ stream: 'S', runHeader: Buffer.from('{}'), inputFormat: 'ndjson' });
      const event = format.encode(EXAMPLES[name].value(3), { position: 1, eventNumber: 3 });
      const file = Buffer.concat([begin, event, format.end(EMPTY_INFO)]);
      expect(indexBytes(file).format).toBe(name);
    }
  });

  it('give an event its missing line end', () => {
    const event = outputFormat('hepmc3').encode(Buffer.from('E 1 0 0'), { position: 1, eventNumber: 1 });
    expect(Buffer.from(event).toString()).toBe('E 1 0 0\n');
  });

  it('of LHE are joined under one header only if their <init> blocks are equal', () => {
    const joiner = outputFormat('lhe').createJoiner(undefined);
    const part = (header: string) => ({ header: Buffer.from(header), body: Buffer.from('x'), recordCount: 1 });
    expect(joiner.append(part(LHE_HEADERS[0] ?? ''), 0)).toHaveLength(2);
    expect(joiner.append(part(LHE_HEADERS[1] ?? ''), 0)).toHaveLength(1);
    const other = (LHE_HEADERS[0] ?? '').replace('<init>\n1', '<init>\n2');
    expect(() => joiner.append(part(other), 0)).toThrow(expect.objectContaining({ code: 'OUTPUT_UNMERGEABLE' }));
  });
});

describe('gev', () => {
  const gev = outputFormat('gev');
  // A key "__proto__" would reach into the object that is read: msgpackr gives it another name.
  const key = fc.string().filter((text) => text !== '__proto__');
  const anyValue = fc.anything({ key, maxDepth: 3, withNullPrototype: false, withDate: false });

  it('gives back what was written', () => {
    fc.assert(
      fc.property(anyValue, fc.nat(), fc.double(), (value, position, eventNumber) => {
        fc.pre(value !== undefined);
        const record = gev.encode(value, { position, eventNumber });
        expect(inputFormat('gev').identify(record)).toEqual({ eventNumber, runNumber: Number.NaN });
        const again = inputFormat('gev').decode(record, new Uint8Array(0));
        expect(Buffer.from(gev.encode(again, { position, eventNumber })).equals(record)).toBe(true);
      }),
    );
    const value = { pt: Float64Array.of(1, 2), name: 'ü', n: 2 ** 40, list: [true, null, -0.5], raw: Buffer.of(1, 2) };
    const again = inputFormat('gev').decode(gev.encode(value, { position: 1, eventNumber: 1 }), new Uint8Array(0));
    expect(again).toEqual(value);
  });

  it('passes a record on as it is', () => {
    const record = gev.encode({ a: 1 }, { position: 3, eventNumber: 4, runNumber: 5 });
    expect(gev.encode(record, { position: 9, eventNumber: 9 })).toBe(record);
  });

  it('costs less than 120 bytes a file around a single record', () => {
    const { file } = make('gev', 0, [1]);
    const value = EXAMPLES.gev.value(1);
    const body = gev.encode(value, { position: 1, eventNumber: 1 }).length - 28;
    expect(file.length - body).toBeLessThan(120);
  });

  it('shows every flipped bit of a file, in indexing or in decoding', () => {
    const { file } = make('gev', 0, [1, 2, 3]);
    const readAll = (bytes: Buffer) =>
      indexBytes(bytes, [13], 'gev').events.map(({ offsetBytes, lengthBytes }) =>
        inputFormat('gev').decode(bytes.subarray(offsetBytes, offsetBytes + lengthBytes), new Uint8Array(0)),
      );
    expect(readAll(file)).toHaveLength(3);
    // The first twelve bytes include the magic: another format then, hence the name given above.
    for (let bit = 8 * 8; bit < 8 * file.length; bit += 1) {
      const flipped = Buffer.from(file);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => readAll(flipped)).toThrow();
    }
  });

  it('indexes a merged file in stretches that are reached from its end', () => {
    const { file } = make('gev', 0, [1]);
    const part = gev.split(file);
    const many = Buffer.concat(Array.from({ length: 10_000 }, () => part.body));
    const whole = join('gev', [{ ...part, body: many, recordCount: 10_000 }], []);
    const { events } = indexBytes(whole, [1 << 16]);
    expect(events).toHaveLength(10_000);
    expect(gev.split(whole).recordCount).toBe(10_000);
    // Joining a merged file again leaves its indexes behind.
    expect(join('gev', [gev.split(whole)], []).equals(whole)).toBe(true);
  });

  it('sums up the metadata of parts, alike or not, with restarts anywhere', () => {
    const part = gev.split(make('gev', 0, [1]).file);
    fc.assert(
      fc.property(fc.array(fc.nat(2), { minLength: 1 }), fc.array(fc.boolean()), (runs, restarts) => {
        const infos = [0, 1, 2].map((run) => ({ ...INFO, runNumbers: [run] }));
        const parts = runs.map((run) => ({ ...part, info: infos[run] ?? INFO }));
        const { info } = gev.split(join('gev', parts, restarts));
        expect(info).toEqual({ ...INFO, eventCount: runs.length, runNumbers: [...new Set(runs)].sort() });
      }),
    );
  });
});

describe('uniting metadata', () => {
  const interval = fc
    .record({ key: fc.constantFrom('a', 'b'), value: fc.constantFrom('x', 'y'), first: fc.nat(20), length: fc.nat(5) })
    .map(({ key, value, first, length }) => ({ key, firstRun: first, lastRun: first + length, value }));
  const info = fc
    .record({
      runs: fc.array(fc.nat(10)),
      tags: fc.array(fc.constantFrom('t', 'u')),
      intervals: fc.array(interval, { maxLength: 4 }),
    })
    .map(({ runs, tags, intervals }) =>
      [
        ...runs.map((run) => ({ ...EMPTY_INFO, eventCount: 1, runNumbers: [run] })),
        ...tags.map((tag) => ({ ...EMPTY_INFO, processingTags: [tag], eventTypes: [tag] })),
        ...intervals.map((one) => ({ ...EMPTY_INFO, intervalsOfValidity: [one] })),
      ].reduce<EventStreamInfo>(uniteInfo, EMPTY_INFO),
    );

  it('does not depend on order or grouping', () => {
    fc.assert(
      fc.property(info, info, info, (a, b, c) => {
        expect(uniteInfo(a, b)).toEqual(uniteInfo(b, a));
        expect(uniteInfo(uniteInfo(a, b), c)).toEqual(uniteInfo(a, uniteInfo(b, c)));
      }),
    );
  });

  it('joins intervals of validity that touch and say the same', () => {
    const one = (firstRun: number, lastRun: number, value: string) => ({
      ...EMPTY_INFO,
      intervalsOfValidity: [{ key: 'align', firstRun, lastRun, value }],
    });
    const united = [one(1, 4, 'v1'), one(5, 9, 'v1'), one(10, 12, 'v2'), one(20, 30, 'v1')].reduce<EventStreamInfo>(
      uniteInfo,
      EMPTY_INFO,
    );
    expect(united.intervalsOfValidity).toEqual([
      { key: 'align', firstRun: 1, lastRun: 9, value: 'v1' },
      { key: 'align', firstRun: 10, lastRun: 12, value: 'v2' },
      { key: 'align', firstRun: 20, lastRun: 30, value: 'v1' },
    ]);
  });
});

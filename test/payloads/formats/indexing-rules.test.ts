/** What indexers accept and refuse, with places; and that chunk boundaries do not matter. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GranuleError } from '../../../core/errors.ts';
import { inputFormat, recogniseFormat } from '../../../payloads/formats/registry.ts';
import { indexBytes, naiveEvents } from './indexed.ts';

const HEPMC3 = [
  'HepMC::Version 3.02.05\nHepMC::Asciiv3-START_EVENT_LISTING\nW a\\|b\nT tool\\|1\\|x\n',
  'E 7 1 2\nU GEV MM\nW 1.0 2.0\nP 1 0 11 0 0 1 1 0 4\nP 2 1 11 0 0 1 1 0 1\n',
  'E 8 0 1\nU GEV MM\nA 0 note HepMC::is mentioned\nP 1 0 11 0 0 1 1 0 1\n',
  'HepMC::Asciiv3-END_EVENT_LISTING\n\n',
] as const;
const HEPMC2 = [
  '\nHepMC::Version 2.06.10\nHepMC::IO_GenEvent-START_EVENT_LISTING\n',
  'E -3 0 1 1 1 0 -1 1 1 2 0 0\nH 1 2\nU GEV MM\nV -1 0 0 0 0 0 1 1 0\n' +
    'P 1 11 0 0 1 1 0 4 0 0 -1 0\nP 2 11 0 0 1 1 0 1 0 0 0 0\n',
  'HepMC::IO_GenEvent-END_EVENT_LISTING\n',
] as const;
const LHE = [
  '<?xml version="1.0"?>\n<LesHouchesEvents version="3.0">\n<!--\n<event>\n is a comment -->\n' +
    '<header>\n<event>\n a < b & c\n</header>\n<init>\n11 -11 1 1 0 0 0 0 3 0\n</init>\n',
  '<event>\n1 0 1.0 -1 0 0\n 11 1 0 0 0 0 0 0 1 1 0 0 9\n# <event> in a remark\n</event>\n',
  '# between events\n',
  "  <event npLO=' 1 '>\n0 0 1.0D+01 -1 0 0\n  </event>\n",
  '</LesHouchesEvents>\ntrailing words <event>\n',
] as const;
const NDJSON = '{"a":1}\n\n  \t\r\n[2]\r\n"three"\n4';

function caught(action: () => unknown): GranuleError {
  try {
    action();
  } catch (error) {
    if (error instanceof GranuleError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

function index(text: string, chunks?: readonly number[]) {
  return indexBytes(Buffer.from(text, 'utf8'), chunks);
}

describe('an indexer', () => {
  const files = {
    hepmc3: HEPMC3.join('') + HEPMC3.join(''),
    hepmc2: HEPMC2.join(''),
    lhe: LHE.join('') + LHE.join(''),
    ndjson: NDJSON,
  };

  it.each(Object.entries(files))('finds the same in %s whatever the chunks', (format, text) => {
    const whole = index(text);
    expect(whole.format).toBe(format);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 12 }), (sizes) => {
        expect(index(text, sizes)).toEqual(whole);
      }),
    );
  });

  it.each(Object.entries(files))('finds the same events in %s with CRLF line ends', (_, text) => {
    const crlf = index(text.replaceAll('\r', '').replaceAll('\n', '\r\n'));
    const { events } = index(text.replaceAll('\r', ''));
    expect(crlf.events.map(({ eventNumber }) => eventNumber)).toEqual(events.map(({ eventNumber }) => eventNumber));
  });
});

describe('HepMC indexing', () => {
  it('reads a concatenation of listings whole, with a run segment for each', () => {
    const text = HEPMC3.join('') + HEPMC3.join('');
    const { events, segments } = index(text);
    expect(events.map(({ eventNumber }) => eventNumber)).toEqual([7, 8, 7, 8]);
    const header = HEPMC3[0].length;
    expect(segments).toEqual([
      { firstPosition: 1, offsetBytes: 0, lengthBytes: header },
      { firstPosition: 3, offsetBytes: HEPMC3.join('').length, lengthBytes: header },
    ]);
  });

  it('begins the run segment at the Version line, after a leading blank line', () => {
    const { events, segments } = index(HEPMC2.join(''));
    expect(segments).toEqual([{ firstPosition: 1, offsetBytes: 1, lengthBytes: HEPMC2[0].length - 1 }]);
    expect(events).toMatchObject([{ eventNumber: -3, runNumber: Number.NaN, lengthBytes: HEPMC2[1].length }]);
  });

  it('finds no event in an empty listing', () => {
    expect(index(HEPMC3[0] + HEPMC3[3]).events).toEqual([]);
  });

  it('accepts a last line without newline', () => {
    expect(index(HEPMC3.join('').trimEnd()).events).toHaveLength(2);
  });

  it('refuses every proper prefix that lacks the END line, naming offset and last complete event', () => {
    const text = HEPMC3.join('');
    const keep = text.trimEnd().length;
    for (let length = 10; length < keep; length += 1) {
      const error = caught(() => index(text.slice(0, length)));
      expect(error.code).toBe('INPUT_TRUNCATED');
      expect(error.details.offsetBytes).toBe(length);
    }
    const cut = HEPMC3[0] + HEPMC3[1] + HEPMC3[2].slice(0, 20);
    expect(caught(() => index(cut)).details).toEqual({ offsetBytes: cut.length, position: 2, lastCompletePosition: 1 });
  });

  it.each([
    ['an event without its event number', `${HEPMC3[0]}E x 0 0\n`, HEPMC3[0].length],
    ['an event before the listing begins', 'HepMC::Version 3\nE 1 0 0\nHepMC::Asciiv3-START_EVENT_LISTING\n', 17],
    ['text between listings', `${HEPMC3.join('')}words\n`, HEPMC3.join('').length],
    ['a listing of the other version', HEPMC3.join('') + HEPMC2.join(''), HEPMC3.join('').length + 24],
    [
      'a listing that follows one without END',
      HEPMC3[0] + HEPMC3[1] + HEPMC3.join(''),
      HEPMC3[0].length + HEPMC3[1].length,
    ],
  ])('refuses %s', (_, text, offsetBytes) => {
    const error = caught(() => index(text));
    expect(error.code).toBe('INPUT_MALFORMED');
    expect(error.details.offsetBytes).toBe(offsetBytes);
  });
});

describe('LHE indexing', () => {
  it('counts event tags at line starts only, outside comment and header, until the end tag', () => {
    const { events, segments } = index(LHE.join(''));
    const cut = events.map(({ offsetBytes, lengthBytes }) =>
      LHE.join('').slice(offsetBytes, offsetBytes + lengthBytes),
    );
    expect(cut).toEqual([LHE[1], LHE[3]]);
    expect(segments).toEqual([{ firstPosition: 1, offsetBytes: 0, lengthBytes: LHE[0].length }]);
  });

  it('refuses a file without its end tag, and one that ends inside an event', () => {
    const withoutTag = LHE.slice(0, 4).join('');
    expect(caught(() => index(withoutTag))).toMatchObject({
      code: 'INPUT_TRUNCATED',
      details: { offsetBytes: withoutTag.length, position: 3, lastCompletePosition: 2 },
    });
    expect(caught(() => index(LHE[0] + LHE[1] + LHE[3].slice(0, -4)))).toMatchObject({
      code: 'INPUT_TRUNCATED',
      details: { position: 2 },
    });
  });

  it('refuses an event inside an event', () => {
    const text = LHE[0] + LHE[1].slice(0, LHE[1].indexOf('#')) + LHE.slice(1).join('');
    expect(caught(() => index(text)).code).toBe('INPUT_MALFORMED');
  });
});

describe('NDJSON indexing', () => {
  it('takes each line that is not blank, line end included', () => {
    const cut = index(NDJSON).events.map(({ offsetBytes, lengthBytes }) =>
      NDJSON.slice(offsetBytes, offsetBytes + lengthBytes),
    );
    expect(cut).toEqual(['{"a":1}\n', '[2]\r\n', '"three"\n', '4']);
  });

  it('leaves a byte order mark out of the first event', () => {
    const marked = `\ufeff${NDJSON}`;
    const bytes = Buffer.from(marked);
    for (const chunkSizes of [[bytes.length], [1], [4, 100]]) {
      const [first] = indexBytes(bytes, chunkSizes).events;
      expect(first).toMatchObject({ offsetBytes: 3, lengthBytes: 8 });
    }
  });

  it('refuses a cut last line and lines that cannot be JSON', () => {
    expect(caught(() => index('{"a":1}\n{"a":')).code).toBe('INPUT_TRUNCATED');
    expect(caught(() => index('{"a":1}\n<event>\n{}\n'))).toMatchObject({
      code: 'INPUT_MALFORMED',
      details: { offsetBytes: 8, position: 2 },
    });
  });
});

describe('recognition', () => {
  it('looks behind a byte order mark', () => {
    expect(recogniseFormat(Buffer.from('\ufeff{"a":1}\n'))?.name).toBe('ndjson');
    const events = '<event>\n</event>\n';
    const text = `\ufeff<LesHouchesEvents version="3.0">\n<init>\n</init>\n${events}</LesHouchesEvents>\n`;
    expect(indexBytes(Buffer.from(text))).toMatchObject({ format: 'lhe', events: [{ lengthBytes: events.length }] });
  });

  it.each([
    ['words', 'hello world\n'],
    ['words without a line end', 'nothing'],
    ['numbers and words', '1 2 3\n'],
    ['pretty-printed JSON', '{\n  "a": 1\n}\n'],
    ['XML', '<?xml version="1.0"?>\n<svg/>\n'],
    ['another HepMC listing', 'HepMC::Version 1\nHepMC::IO_ExtendedAscii-START_EVENT_LISTING\n'],
    ['zeros', '\0\0\0\0'],
    ['binary behind a bracket', '{\0\u0001\u0002'],
    ['nothing', ''],
  ])('takes %s for no format', (_, text) => {
    expect(recogniseFormat(Buffer.from(text))).toBeUndefined();
  });

  it('takes random bytes for no text format', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 256 }), (bytes) => {
        fc.pre(bytes.some((byte) => byte === 0));
        expect(recogniseFormat(bytes)).toBeUndefined();
      }),
    );
  });

  it('knows a JSON value longer than the head', () => {
    expect(recogniseFormat(Buffer.from(`{"a":"${'x'.repeat(1000)}`))?.name).toBe('ndjson');
  });
});

describe('decoding', () => {
  const header = Buffer.from(HEPMC3[0]);
  const decode3 = (text: string) => inputFormat('hepmc3').decode(Buffer.from(text), header);
  const decode2 = (text: string) => inputFormat('hepmc2').decode(Buffer.from(text), new Uint8Array(0));
  const decodeLhe = (text: string) => inputFormat('lhe').decode(Buffer.from(text), new Uint8Array(0));

  it('gives vertices that HepMC3 leaves out the free ids', () => {
    expect(decode3(HEPMC3[1])).toMatchObject({
      weights: [1, 2],
      weightNames: ['a', 'b'],
      particles: [
        { id: 1, productionVertex: -1, endVertex: 0 },
        { id: 2, productionVertex: 0, endVertex: -1 },
      ],
      vertices: [{ id: -1, incoming: [0], outgoing: [1], position: undefined }],
    });
    const explicit =
      'E 1 2 4 @ 1 2 3 4\nU MEV CM\nP 1 0 1 0 0 1 1 0 4\nP 2 0 2 0 0 1 1 0 4\nV -1 5 [1,2] @ 5 6 7 8\n' +
      'P 3 -1 3 0 0 1 1 0 2\nP 4 3 4 0 0 1 1 0 1\n';
    expect(decode3(explicit)).toMatchObject({
      momentumUnit: 'MEV',
      lengthUnit: 'CM',
      position: { x: 1, y: 2, z: 3, t: 4 },
      vertices: [
        { id: -1, status: 5, position: { x: 5, y: 6, z: 7, t: 8 }, incoming: [0, 1], outgoing: [2] },
        { id: -2, status: 0, incoming: [2], outgoing: [3] },
      ],
    });
  });

  it('passes over run information that follows an event', () => {
    expect(decode3(`${HEPMC3[2]}W c\nT t\\|1\\|\nA key value\n`)).toMatchObject({ eventNumber: 8, weights: [] });
  });

  it.each([
    ['particles fewer than announced', () => decode3('E 1 0 2\nU GEV MM\nP 1 0 11 0 0 1 1 0 1\n')],
    ['vertices fewer than announced', () => decode3('E 1 3 1\nU GEV MM\nP 1 0 11 0 0 1 1 0 1\n')],
    ['a parent that is not there', () => decode3('E 1 1 1\nU GEV MM\nP 1 9 11 0 0 1 1 0 1\n')],
    ['a number that is none', () => decode3('E 1 0 1\nU GEV MM\nP 1 0 11 0 zero 1 1 0 1\n')],
    ['a line that stops early', () => decode3('E 1 0 1\nU GEV MM\nP 1 0 11 0 0 1\n')],
    ['an unknown line', () => decode3('E 1 0 0\nU GEV MM\nQ 1\n')],
    ['HepMC2 vertices fewer than announced', () => decode2(HEPMC2[1].replace(' -1 1 1 2 0 0', ' -1 2 1 2 0 0'))],
    ['HepMC2 particles fewer than announced', () => decode2(HEPMC2[1].slice(0, HEPMC2[1].indexOf('P 2')))],
    ['LHE particles fewer than announced', () => decodeLhe(LHE[1].replace('1 0 1.0', '2 0 1.0'))],
    [
      'an LHE weight that is no number',
      () => decodeLhe(LHE[1].replace('</event>', "<rwgt>\n<wgt id='1'> many </wgt>\n</rwgt>\n</event>")),
    ],
    ['a line that is no JSON', () => inputFormat('ndjson').decode(Buffer.from('{"a"}\n'), new Uint8Array(0))],
  ])('refuses %s', (_, decode) => {
    expect(caught(decode).code).toBe('INPUT_MALFORMED');
  });

  it('reads Fortran exponents and tag attributes of LHE', () => {
    const weights = "<rwgt>\n<wgt id='1'> 7.5D-01 </wgt>\n</rwgt>\n<weights> 1 -2d0\n</weights>\n</event>";
    expect(decodeLhe(LHE[1].replace('</event>', weights))).toMatchObject({
      weights: [
        { id: '1', value: 0.75 },
        { id: '1', value: 1 },
        { id: '2', value: -2 },
      ],
    });
    expect(decodeLhe(LHE[3])).toMatchObject({ weight: 10, particles: [], attributes: { npLO: ' 1 ' } });
  });

  it('agrees with a naive cut on the examples', () => {
    expect(naiveEvents(Buffer.from(HEPMC3.join('')), 'hepmc3').map(String)).toEqual([HEPMC3[1], HEPMC3[2]]);
  });
});

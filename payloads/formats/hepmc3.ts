/**
 * Reads HepMC3 `Asciiv3` (HepMC3, src/ReaderAscii.cc):
 *
 * ```text
 * E <number> <vertices> <particles> [@ x y z t]
 * U GEV|MEV MM|CM
 * W <weight>…                    before the first E: names of the weights
 * A <owner> <name> <value>       owner 0 event, > 0 particle, < 0 vertex
 * V <-id> <status> [in,in] [@ x y z t]
 * P <id> <parent> <pdg> px py pz E m <status>
 * ```
 *
 * The parent of a particle is 0, a vertex (negative), or a particle: then it comes from that particle's end vertex,
 * which has no line of its own.
 */
import type { IndexSink, InputFormat } from './event-format.ts';
import { FieldReader } from './field-reader.ts';
import type { GeneratorEvent, Position } from './generator-event.ts';
import { GeneratorEventBuilder, readUnits } from './generator-event-builder.ts';
import { firstListingKeyword, HEPMC3_LISTING, HepMCIndexer, identifyHepMCEvent } from './hepmc-indexer.ts';

const AT_SIGN = '@'.charCodeAt(0);

export const hepmc3Input: InputFormat = {
  name: 'hepmc3',
  recognise: (head) => firstListingKeyword(head) === HEPMC3_LISTING.keyword,
  createIndexer: (sink: IndexSink) => new HepMCIndexer(HEPMC3_LISTING, sink),
  identify: identifyHepMCEvent,
  decode: decodeHepMC3,
};

interface VertexLine {
  readonly vertex: number;
  /** ids of particles */
  readonly incoming: readonly number[];
}

/** @throws INPUT_MALFORMED also when the counts on the E line do not hold */
function decodeHepMC3(bytes: Uint8Array, runHeader: Uint8Array): GeneratorEvent {
  const reader = new FieldReader(bytes, 'HepMC3 event');
  const builder = new GeneratorEventBuilder();
  if (!reader.nextLine() || reader.word('line type') !== 'E') reader.fail('is not an E line');
  builder.eventNumber = reader.integer('event number');
  const vertexCount = reader.integer('number of vertices');
  const particleCount = reader.integer('number of particles');
  builder.position = readPosition(reader);
  const parents: number[] = [];
  const vertexLines = new Map<number, VertexLine>();
  while (reader.nextLine()) {
    const type = reader.word('line type');
    const isBeforeParticles = parents.length === 0 && vertexLines.size === 0;
    if (type === 'P') parents.push(readParticle(reader, builder));
    else if (type === 'V') readVertex(reader, builder, vertexLines);
    else if (type === 'U') readUnits(builder, reader);
    else if (type === 'T' || (!isBeforeParticles && (type === 'W' || type === 'A'))) {
      // Run information for the events that follow, which some writers put between two events.
    } else if (type === 'W') builder.weights = reader.floats('weight');
    else if (type === 'A') {
      builder.addAttribute(reader.integer('owner'), reader.word('attribute name'), unescapeText(reader.rest()));
    } else reader.fail(`is of the unknown type "${type}"`);
  }
  connect(builder, parents, vertexLines, reader);
  if (builder.particles.length !== particleCount || builder.vertices.length !== vertexCount) {
    reader.fail(
      `is the last, with ${builder.vertices.length} vertices and ${builder.particles.length} particles, ` +
        `but the E line says ${vertexCount} and ${particleCount}`,
    );
  }
  const names = readWeightNames(runHeader);
  if (names.length === builder.weights.length) builder.weightNames = names;
  return builder.build();
}

function readPosition(reader: FieldReader): Position | undefined {
  if (reader.peek() !== AT_SIGN) return undefined;
  reader.word('@');
  return { x: reader.float('x'), y: reader.float('y'), z: reader.float('z'), t: reader.float('t') };
}

/** Returns the parent. */
function readParticle(reader: FieldReader, builder: GeneratorEventBuilder): number {
  const id = reader.integer('particle id');
  if (id !== builder.particles.length + 1)
    reader.fail(`has particle ${id} where ${builder.particles.length + 1} comes`);
  const parent = reader.integer('parent');
  builder.addParticle({
    id,
    pdgId: reader.integer('particle number'),
    px: reader.float('px'),
    py: reader.float('py'),
    pz: reader.float('pz'),
    energy: reader.float('energy'),
    mass: reader.float('mass'),
    status: reader.integer('status'),
  });
  return parent;
}

function readVertex(reader: FieldReader, builder: GeneratorEventBuilder, lines: Map<number, VertexLine>): void {
  const id = reader.integer('vertex id');
  if (id >= 0 || lines.has(id)) reader.fail(`has the vertex id ${id}, which is not negative or used twice`);
  const status = reader.integer('vertex status');
  const list = reader.word('list of incoming particles');
  if (!/^\[(-?\d+(,-?\d+)*)?\]$/.test(list)) reader.fail(`has "${list}" where the list of incoming particles belongs`);
  const incoming = list.length === 2 ? [] : list.slice(1, -1).split(',').map(Number);
  lines.set(id, { vertex: builder.addVertex(id, status, readPosition(reader)), incoming });
}

function connect(
  builder: GeneratorEventBuilder,
  parents: readonly number[],
  lines: ReadonlyMap<number, VertexLine>,
  reader: FieldReader,
): void {
  for (const { vertex, incoming } of lines.values()) {
    for (const id of incoming) {
      if (builder.particles[id - 1] === undefined) reader.fail(`is the last, but a vertex names particle ${id}`);
      builder.connectIncoming(vertex, id - 1);
    }
  }
  const freeIds = createFreeIds(lines);
  parents.forEach((parent, particle) => {
    if (parent === 0) return;
    if (parent < 0) {
      const vertex = lines.get(parent)?.vertex;
      if (vertex === undefined) reader.fail(`is the last, but particle ${particle + 1} names vertex ${parent}`);
      builder.connectOutgoing(vertex, particle);
      return;
    }
    const mother = builder.particles[parent - 1];
    if (mother === undefined) reader.fail(`is the last, but particle ${particle + 1} names particle ${parent}`);
    if (mother.endVertex < 0) builder.connectIncoming(builder.addVertex(freeIds(), 0, undefined), parent - 1);
    builder.connectOutgoing(mother.endVertex, particle);
  });
}

/** Gives vertices without a line the ids that no line uses: -1, -2, … */
function createFreeIds(lines: ReadonlyMap<number, VertexLine>): () => number {
  let id = 0;
  return () => {
    do id -= 1;
    while (lines.has(id));
    return id;
  };
}

/** Names on the `W` line of a run header; names may stand on several lines. */
function readWeightNames(runHeader: Uint8Array): string[] {
  if (runHeader.length === 0) return [];
  const reader = new FieldReader(runHeader, 'HepMC3 run information');
  const names: string[] = [];
  while (reader.nextLine()) {
    if (reader.word('line type') === 'W') names.push(...unescapeText(reader.rest()).split('\n'));
  }
  return names;
}

/** Line ends are written as `\|`, backslashes doubled. */
function unescapeText(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([|\\])/g, (_, escaped: string) => (escaped === '|' ? '\n' : '\\'));
}

/**
 * Reads HepMC2 `IO_GenEvent` (HepMC 2.06, src/IO_GenEvent.cc and StreamHelpers; HepMC3, src/ReaderAsciiHepMC2.cc):
 *
 * ```text
 * E <number> <mpi> <scale> <aQCD> <aQED> <process> <signal vertex> <vertices> <beam 1> <beam 2> <n> random… <n> weights…
 * N <n> "name"…      names of the weights
 * U GEV|MEV MM|CM    C <cross section> <error>    H heavy ion    F parton densities
 * V <barcode> <id> x y z t <orphans> <outgoing> <n> weights…
 * P <barcode> <pdg> px py pz E m <status> theta phi <end vertex> <n> (index colour)…
 * ```
 *
 * After a V line come its orphans (incoming particles without production vertex), then its outgoing particles.
 */
import type { IndexSink, InputFormat } from './event-format.ts';
import { FieldReader } from './field-reader.ts';
import type { GeneratorEvent } from './generator-event.ts';
import { GeneratorEventBuilder, readUnits } from './generator-event-builder.ts';
import { firstListingKeyword, HEPMC2_LISTING, HepMCIndexer, identifyHepMCEvent } from './hepmc-indexer.ts';

export const hepmc2Input: InputFormat = {
  name: 'hepmc2',
  recognise: (head) => firstListingKeyword(head) === HEPMC2_LISTING.keyword,
  createIndexer: (sink: IndexSink) => new HepMCIndexer(HEPMC2_LISTING, sink),
  identify: identifyHepMCEvent,
  decode: decodeHepMC2,
};

/** What is still to come of the vertex being read. */
interface OpenVertex {
  index: number;
  orphansLeft: number;
  outgoingLeft: number;
}

/** @throws INPUT_MALFORMED also when the counts on E and V lines do not hold */
function decodeHepMC2(bytes: Uint8Array): GeneratorEvent {
  const reader = new FieldReader(bytes, 'HepMC2 event');
  const builder = new GeneratorEventBuilder();
  if (!reader.nextLine() || reader.word('line type') !== 'E') reader.fail('is not an E line');
  const vertexCount = readEventLine(reader, builder);
  const open: OpenVertex = { index: -1, orphansLeft: 0, outgoingLeft: 0 };
  const endBarcodes: number[] = [];
  while (reader.nextLine()) {
    const type = reader.word('line type');
    if (type === 'P') endBarcodes.push(readParticle(reader, builder, open));
    else if (type === 'V') readVertex(reader, builder, open);
    else if (type === 'U') readUnits(builder, reader);
    else if (type === 'N') builder.weightNames = readWeightNames(reader);
    else if (type === 'C') builder.addAttribute(0, 'GenCrossSection', reader.rest());
    else if (type === 'H') builder.addAttribute(0, 'GenHeavyIon', reader.rest());
    else if (type === 'F') builder.addAttribute(0, 'GenPdfInfo', reader.rest());
    else reader.fail(`is of the unknown type "${type}"`);
  }
  expectVertexComplete(reader, open);
  connectEnds(reader, builder, endBarcodes);
  if (builder.vertices.length !== vertexCount) {
    reader.fail(`is the last, with ${builder.vertices.length} vertices, but the E line says ${vertexCount}`);
  }
  if (builder.weightNames.length !== builder.weights.length) builder.weightNames = [];
  return builder.build();
}

/** Returns the number of vertices. */
function readEventLine(reader: FieldReader, builder: GeneratorEventBuilder): number {
  builder.eventNumber = reader.integer('event number');
  for (const name of ['mpi', 'event_scale', 'alphaQCD', 'alphaQED', 'signal_process_id', 'signal_process_vertex']) {
    builder.addAttribute(0, name, reader.word(name));
  }
  const vertexCount = reader.integer('number of vertices');
  reader.integer('barcode of the first beam particle');
  reader.integer('barcode of the second beam particle');
  const randomStates = readCounted(reader, 'number of random states', 'random state');
  if (randomStates.length > 0) builder.addAttribute(0, 'random_states', randomStates.join(' '));
  builder.weights = readCounted(reader, 'number of weights', 'weight');
  return vertexCount;
}

function readCounted(reader: FieldReader, countName: string, name: string): number[] {
  const count = reader.integer(countName);
  const values: number[] = [];
  for (let index = 0; index < count; index += 1) values.push(reader.float(name));
  return values;
}

function readWeightNames(reader: FieldReader): string[] {
  const count = reader.integer('number of weight names');
  const names = [...reader.rest().matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? '');
  if (names.length !== count) reader.fail(`holds ${names.length} weight names instead of ${count}`);
  return names;
}

function readVertex(reader: FieldReader, builder: GeneratorEventBuilder, open: OpenVertex): void {
  expectVertexComplete(reader, open);
  const id = reader.integer('vertex barcode');
  const status = reader.integer('vertex id');
  const position = { x: reader.float('x'), y: reader.float('y'), z: reader.float('z'), t: reader.float('t') };
  const isGiven = position.x !== 0 || position.y !== 0 || position.z !== 0 || position.t !== 0;
  open.index = builder.addVertex(id, status, isGiven ? position : undefined);
  open.orphansLeft = reader.integer('number of orphans');
  open.outgoingLeft = reader.integer('number of outgoing particles');
  const weights = readCounted(reader, 'number of vertex weights', 'vertex weight');
  if (weights.length > 0) builder.addAttribute(id, 'weights', weights.join(' '));
}

/** Returns the barcode of the end vertex, 0 for none. */
function readParticle(reader: FieldReader, builder: GeneratorEventBuilder, open: OpenVertex): number {
  if (open.orphansLeft + open.outgoingLeft === 0) reader.fail('is a particle more than its vertex announced');
  const { id } = builder.addParticle({
    id: reader.integer('particle barcode'),
    pdgId: reader.integer('particle number'),
    px: reader.float('px'),
    py: reader.float('py'),
    pz: reader.float('pz'),
    energy: reader.float('energy'),
    mass: reader.float('mass'),
    status: reader.integer('status'),
  });
  const polarisation = [reader.float('theta'), reader.float('phi')];
  if (polarisation[0] !== 0) builder.addAttribute(id, 'theta', String(polarisation[0]));
  if (polarisation[1] !== 0) builder.addAttribute(id, 'phi', String(polarisation[1]));
  const endBarcode = reader.integer('barcode of the end vertex');
  const flowCount = reader.integer('number of colour flows');
  for (let index = 0; index < flowCount; index += 1) {
    builder.addAttribute(id, `flow${reader.integer('flow index')}`, String(reader.integer('flow')));
  }
  if (open.orphansLeft > 0) {
    open.orphansLeft -= 1;
  } else {
    open.outgoingLeft -= 1;
    builder.connectOutgoing(open.index, builder.particles.length - 1);
  }
  return endBarcode;
}

function expectVertexComplete(reader: FieldReader, open: OpenVertex): void {
  const left = open.orphansLeft + open.outgoingLeft;
  if (left > 0) reader.fail(`ends a vertex that lacks ${left} of the particles it announced`);
}

function connectEnds(reader: FieldReader, builder: GeneratorEventBuilder, endBarcodes: readonly number[]): void {
  const vertexByBarcode = new Map(builder.vertices.map((vertex, index) => [vertex.id, index]));
  endBarcodes.forEach((barcode, particle) => {
    if (barcode === 0) return;
    const vertex = vertexByBarcode.get(barcode);
    if (vertex === undefined) reader.fail(`is the last, but a particle ends in vertex ${barcode}, which is missing`);
    builder.connectIncoming(vertex, particle);
  });
}

/**
 * Toy events as HepMC3 Asciiv3 text, for demonstrations and benchmarks. Energy, momentum and charge are conserved at
 * each vertex and all particles are on their mass shells, to the precision of a double; the physics is otherwise a toy.
 *
 * Event i of a seed is always the same text, whichever events are made beside it, in whatever pieces they are written.
 *
 * Format: HepMC3 (Buckley et al., Comput. Phys. Commun. 260 (2021) 107310), as its own writer lays it out: a vertex
 * with one incoming particle and no place of its own is not written; its products name the particle instead. Numbers
 * have as many digits as it takes to read the same double back.
 */
import { GranuleError } from '../../core/errors.ts';
import { GENERATOR_CHUNK_BYTES } from '../../core/limits.ts';
import { type ToyEvent, type ToySettings, toyEvent } from './toy-event.ts';

export type { ToySettings } from './toy-event.ts';

/** The mass of the Z boson, and a multiplicity that makes events of about 2 kB. */
export const TOY_DEFAULTS = { energyGeV: 91.1876, meanPrimaries: 10 } as const;

/** What stands before the first event. */
export function toyHeader(): string {
  return [
    'HepMC::Version 3.02.05',
    'HepMC::Asciiv3-START_EVENT_LISTING',
    'W default',
    'T granule toy generator\\|1\\|e- e+ to hadrons by phase space',
    '',
  ].join('\n');
}

/** What stands after the last event. */
export function toyFooter(): string {
  return 'HepMC::Asciiv3-END_EVENT_LISTING\n\n';
}

/** Throws `CONFIG_INVALID`. */
function checkToySettings(settings: ToySettings): void {
  const refuse = (what: string, found: number, wanted: string): never => {
    throw new GranuleError('CONFIG_INVALID', `${what} is ${found}, wanted ${wanted}`);
  };
  const { seed, energyGeV, meanPrimaries } = settings;
  if (!Number.isSafeInteger(seed) || seed < 0) refuse('the seed', seed, 'a whole number from 0 on');
  if (!(energyGeV >= 4 && energyGeV <= 1e6)) refuse('the collision energy', energyGeV, '4 to 1000000 GeV');
  if (!(meanPrimaries >= 0 && meanPrimaries <= 100_000)) {
    refuse('the mean number of particles', meanPrimaries, '0 to 100000');
  }
}

/** The text of one event, from its `E ` line on. */
export function toyEventText(settings: ToySettings, eventNumber: number): string {
  return eventText(toyEvent(settings, eventNumber), eventNumber);
}

function eventText({ particles, vertices }: ToyEvent, eventNumber: number): string {
  let text = `E ${eventNumber} ${vertices.length} ${particles.length}\nU GEV MM\nW 1\nA 0 signal_process_id 1\n`;
  let vertexAbove = -1;
  for (const [index, particle] of particles.entries()) {
    const { pdgId, momentum, massGeV, status, productionVertex } = particle;
    let origin = 0;
    if (productionVertex !== undefined) {
      const vertex = vertices[productionVertex];
      const written = vertex === undefined ? '' : vertexText(vertex, productionVertex);
      origin = written === '' ? (vertex?.incoming[0] ?? -1) + 1 : -1 - productionVertex;
      if (productionVertex !== vertexAbove) text += written;
      vertexAbove = productionVertex;
    }
    const { px, py, pz, energy } = momentum;
    text += `P ${index + 1} ${origin} ${pdgId} ${px} ${py} ${pz} ${energy} ${massGeV} ${status}\n`;
  }
  return text;
}

/** The `V ` line of a vertex; empty for one that HepMC3 leaves to be understood. */
function vertexText({ incoming, position }: ToyEvent['vertices'][number], index: number): string {
  const { x, y, z, t } = position;
  const displaced = x !== 0 || y !== 0 || z !== 0 || t !== 0;
  if (incoming.length === 1 && !displaced) return '';
  const place = displaced ? ` @ ${x} ${y} ${z} ${t}` : '';
  return `V ${-1 - index} 0 [${incoming.map((particle) => particle + 1).join(',')}]${place}\n`;
}

/**
 * Writes a complete file: header, events numbered from 1, footer. Holds one chunk in memory.
 *
 * @param write receives consecutive pieces of about {@link GENERATOR_CHUNK_BYTES}, which are its own to keep; the next
 *   one is made when it has resolved
 * @returns bytes written
 * @throws CONFIG_INVALID for settings out of range; whatever `write` throws; the reason of `signal`
 */
export async function generateTo(
  write: (chunk: Uint8Array) => Promise<void>,
  settings: ToySettings & { readonly events: number },
  signal?: AbortSignal,
): Promise<number> {
  checkToySettings(settings);
  let sizeBytes = 0;
  const flush = async (text: string): Promise<void> => {
    signal?.throwIfAborted();
    const chunk = Buffer.from(text, 'latin1');
    sizeBytes += chunk.length;
    await write(chunk);
  };
  let pending = toyHeader();
  for (let eventNumber = 1; eventNumber <= settings.events; eventNumber += 1) {
    pending += toyEventText(settings, eventNumber);
    if (pending.length < GENERATOR_CHUNK_BYTES) continue;
    await flush(pending);
    pending = '';
  }
  await flush(pending + toyFooter());
  return sizeBytes;
}

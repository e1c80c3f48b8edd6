/** Every real event file: counts, bytes against a naive cut, and decoding of all events. */
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GeneratorEvent, LheEvent } from '../../../payloads/formats/generator-event.ts';
import { inputFormat } from '../../../payloads/formats/registry.ts';
import { EVENT_DATA_FILES, eventDataNote, eventDataPath, hasEventData, readEventData } from '../../event-data.ts';
import { indexBytes, naiveEvents } from './indexed.ts';

function decodeAll(path: string): unknown[] {
  const bytes = readEventData(path);
  const { format, events, segments } = indexBytes(bytes);
  return events.map(({ offsetBytes, lengthBytes }, index) => {
    const segment = segments.findLast(({ firstPosition }) => firstPosition <= index + 1);
    const header =
      segment === undefined
        ? new Uint8Array(0)
        : bytes.subarray(segment.offsetBytes, segment.offsetBytes + segment.lengthBytes);
    return inputFormat(format).decode(bytes.subarray(offsetBytes, offsetBytes + lengthBytes), header);
  });
}

/** Sum over final-state particles minus sum over incoming ones, relative to the energy that came in. */
function imbalance(event: GeneratorEvent): number {
  const beams = event.particles.filter(({ status }) => status === 4);
  const final = event.particles.filter(({ endVertex }) => endVertex < 0);
  const sum = (list: typeof beams, key: 'px' | 'py' | 'pz' | 'energy') =>
    list.reduce((total, particle) => total + particle[key], 0);
  const energy = sum(beams, 'energy');
  return (
    Math.max(...(['px', 'py', 'pz', 'energy'] as const).map((key) => Math.abs(sum(final, key) - sum(beams, key)))) /
    energy
  );
}

describe.skipIf(!hasEventData)(`real event files${eventDataNote}`, () => {
  it.each(EVENT_DATA_FILES.map((file) => [basename(file.path), file] as const))(
    '%s is recognised and cut into the events that a naive cut finds',
    (_, file) => {
      const bytes = readEventData(file.path);
      const indexed = indexBytes(bytes, [1 << 16]);
      expect(indexed.format).toBe(file.format);
      expect(indexed.events).toHaveLength(file.events);
      const cut = indexed.events.map(({ offsetBytes, lengthBytes }) =>
        bytes.subarray(offsetBytes, offsetBytes + lengthBytes),
      );
      const naive = naiveEvents(bytes, file.format);
      expect(cut).toHaveLength(naive.length);
      expect(cut.every((event, index) => event.equals(naive[index] ?? Buffer.alloc(0)))).toBe(true);
      expect(indexed.segments).toHaveLength(1);
    },
  );

  it.each(EVENT_DATA_FILES.map((file) => [basename(file.path), file] as const))('%s decodes whole', (_, file) => {
    const events = decodeAll(file.path) as (GeneratorEvent | LheEvent)[];
    expect(events).toHaveLength(file.events);
    expect(events.every(({ particles }) => particles.length > 0)).toBe(true);
  });

  it('momentum is conserved from the beams to the particles that end nowhere, in both HepMC versions', () => {
    const events3 = decodeAll(eventDataPath('example-100-hepmc3.hepmc3')) as GeneratorEvent[];
    const events2 = decodeAll(eventDataPath('ee-1000-hepmc2.hepmc')) as GeneratorEvent[];
    expect(Math.max(...events3.map(imbalance))).toBeLessThan(1e-6);
    expect(Math.max(...events2.map(imbalance))).toBeLessThan(1e-6);
  });

  it('the same event has the same graph in HepMC2 and HepMC3', () => {
    const events3 = decodeAll(eventDataPath('example-100-hepmc3.hepmc3')) as GeneratorEvent[];
    const events2 = decodeAll(eventDataPath('ee-1000-hepmc2.hepmc')) as GeneratorEvent[];
    const graph = (event: GeneratorEvent) =>
      event.particles
        .map((particle) => {
          const mothers = event.vertices[particle.productionVertex]?.incoming ?? [];
          const pdgIds = mothers.map((mother) => event.particles[mother]?.pdgId).sort();
          return `${particle.pdgId} ${particle.status} ${particle.energy} from ${pdgIds.join(',')}`;
        })
        .sort();
    expect(graph(events2[0] as GeneratorEvent)).toEqual(graph(events3[0] as GeneratorEvent));
  });

  it('weights come with their names', () => {
    const [first] = decodeAll(eventDataPath('pp13TeV-6-weights.hepmc')) as GeneratorEvent[];
    expect(first?.weights).toHaveLength(146);
    expect(first?.weightNames).toHaveLength(146);
    expect(first?.weights[0]).toBe(6.416462771749e-11);
    const [ppbar] = decodeAll(eventDataPath('ppbar-10-hepmc3.hepmc')) as GeneratorEvent[];
    expect(ppbar?.weightNames).toEqual(['Default']);
    expect(ppbar?.eventNumber).toBe(1);
    expect(ppbar?.attributes).toContainEqual({ ownerId: 0, name: 'cycles', value: '1' });
  });

  it('LHE events have their scales, colours, mothers and reweighting factors', () => {
    const [first] = decodeAll(eventDataPath('pp_to_jj-1000.lhe.gz')) as LheEvent[];
    expect(first).toMatchObject({ processId: 1, weight: 6.9967067e8, scale: 24.38747, alphaQCD: 0.1669959 });
    expect(first?.particles).toHaveLength(4);
    expect(first?.particles[2]).toMatchObject({ pdgId: 21, status: 1, mothers: [1, 2], colours: [503, 502], spin: 1 });
    expect(first?.weights.at(0)).toEqual({ id: '1', value: 7.5079318e8 });
    expect(first?.weights).toHaveLength(145);
    const [powheg] = decodeAll(eventDataPath('powheg-W-100.lhe')) as LheEvent[];
    expect(powheg?.weights).toEqual([{ id: 'ct10', value: 5011.85669 }]);
    expect(powheg?.comments[0]).toMatch(/^rwgt/);
  });
});

import { describe, expect, it } from 'vitest';
import hepmcFilter from '../../../payloads/builtin/hepmc-filter.ts';
import type { GeneratorEvent } from '../../../payloads/formats/generator-event.ts';
import { eventsOf, generatedFile } from '../payload-events.ts';
import { payloadEvent, runPayload } from '../run-payload.ts';

const events = eventsOf<GeneratorEvent>(await generatedFile(400));

/** Final-state particles of an event, read from its lines: PDG number, pT, |eta|. */
function finalParticles(bytes: Uint8Array): { pdgId: number; pt: number; eta: number }[] {
  return Buffer.from(bytes)
    .toString('latin1')
    .split('\n')
    .filter((line) => line.startsWith('P ') && line.endsWith(' 1'))
    .map((line) => line.split(' ').map(Number))
    .map(([, , , pdgId = 0, px = 0, py = 0, pz = 0]) => {
      const momentum = Math.hypot(px, py, pz);
      return { pdgId, pt: Math.hypot(px, py), eta: Math.abs(Math.atanh(pz / momentum)) };
    });
}

const finals = events.map(({ bytes }) => finalParticles(bytes));

async function passing(options: Readonly<Record<string, unknown>>): Promise<number[]> {
  const outputs = await runPayload(hepmcFilter, events, { options });
  return outputs.flatMap((output, index) => (output['EVENTS'] === undefined ? [] : [index + 1]));
}

function expected(passes: (particles: ReturnType<typeof finalParticles>, position: number) => boolean): number[] {
  const positions = events.filter(({ position }, index) => passes(finals[index] ?? [], position));
  expect(positions.length).toBeGreaterThan(0);
  expect(positions.length).toBeLessThan(events.length);
  return positions.map(({ position }) => position);
}

describe('events that pass', () => {
  it('are all events without cuts, with their bytes unchanged', async () => {
    const outputs = await runPayload(hepmcFilter, events.slice(0, 20));
    const written = outputs.map((output) => (output['EVENTS'] as Uint8Array[]).map((bytes) => Buffer.from(bytes)));
    expect(written).toEqual(events.slice(0, 20).map(({ bytes }) => [bytes]));
  });

  it('have a particle of the kinds asked for, signs counted', async () => {
    expect(await passing({ pdgId: '13,-11' })).toEqual(
      expected((particles) => particles.some(({ pdgId }) => pdgId === 13 || pdgId === -11)),
    );
  });

  it('have that many particles that match all cuts at once', async () => {
    expect(await passing({ pdgId: '211,-211', ptMinGeV: '3', etaMax: '1.5', minMatching: '2' })).toEqual(
      expected(
        (particles) =>
          particles.filter(({ pdgId, pt, eta }) => Math.abs(pdgId) === 211 && pt >= 3 && eta <= 1.5).length >= 2,
      ),
    );
  });

  it('have enough particles in all', async () => {
    expect(await passing({ minParticles: '12' })).toEqual(expected((particles) => particles.length >= 12));
  });

  it('lie at every so many positions, from the first on', async () => {
    expect(await passing({ every: '7' })).toEqual(expected((_particles, position) => position % 7 === 1));
    expect(await passing({ every: '2', minParticles: '12' })).toEqual(
      expected((particles, position) => position % 2 === 1 && particles.length >= 12),
    );
  });
});

it('counts momenta in GeV whatever the unit of the event', async () => {
  const [event] = events;
  const decoded = event?.decode() as GeneratorEvent;
  const inMeV: GeneratorEvent = {
    ...decoded,
    momentumUnit: 'MEV',
    particles: decoded.particles.map((particle) => ({ ...particle, px: 1500, py: 0, pz: 0, status: 1 })),
  };
  const run = (ptMinGeV: number) =>
    runPayload(hepmcFilter, [payloadEvent({ position: 1, decode: () => inMeV })], { options: { ptMinGeV } });
  expect(await run(1.4)).toEqual([{ EVENTS: [new Uint8Array(0)] }]);
  expect(await run(1.6)).toEqual([{}]);
});

it('processes HepMC only', () => {
  expect(hepmcFilter.inputFormats).toEqual(['hepmc3', 'hepmc2']);
});

it.each([
  ['pdgId', '13,muon'],
  ['pdgId', ''],
  ['etaMax', '-1'],
  ['every', '0'],
  ['ptMin', '1'],
])('refuses %s=%s, naming it', async (key, value) => {
  await expect(runPayload(hepmcFilter, [], { options: { [key]: value } })).rejects.toThrow(key);
});

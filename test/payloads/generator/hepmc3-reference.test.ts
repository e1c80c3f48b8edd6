/** Reads generated events with the reference library (Debian: libhepmc3-dev and g++); skipped where it is absent. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toyEvent } from '../../../payloads/generator/toy-event.ts';
import { generateTo, TOY_DEFAULTS } from '../../../payloads/generator/toy-generator.ts';

const READER = `
#include <HepMC3/GenEvent.h>
#include <HepMC3/GenParticle.h>
#include <HepMC3/GenVertex.h>
#include <HepMC3/ReaderAscii.h>
#include <cmath>
#include <cstdio>
int main(int, char** argv) {
  HepMC3::ReaderAscii reader(argv[1]);
  while (true) {
    HepMC3::GenEvent event;
    if (!reader.read_event(event) || reader.failed()) break;
    double worst = 0, flight = 0;
    for (const auto& vertex : event.vertices()) {
      HepMC3::FourVector sum;
      for (const auto& particle : vertex->particles_in()) sum += particle->momentum();
      for (const auto& particle : vertex->particles_out()) sum -= particle->momentum();
      worst = std::max({worst, std::abs(sum.px()), std::abs(sum.py()), std::abs(sum.pz()), std::abs(sum.e())});
      flight += vertex->position().t();
    }
    int final = 0;
    for (const auto& particle : event.particles()) final += particle->status() == 1 && !particle->end_vertex();
    std::printf("%d %zu %zu %d %zu %d %.3g %.17g\\n", event.event_number(), event.particles().size(),
                event.vertices().size(), final, event.beams().size(), (int)event.weights().size(), worst, flight);
  }
  reader.close();
}
`;

const compiles =
  spawnSync('g++', ['-x', 'c++', '-fsyntax-only', '-'], { input: '#include <HepMC3/ReaderAscii.h>\n' }).status === 0;

describe.skipIf(!compiles)('the HepMC3 library (skipped without g++ and libhepmc3-dev)', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'granule-hepmc3-'));
    writeFileSync(join(folder, 'reader.cc'), READER);
    execFileSync('g++', ['-O1', '-o', join(folder, 'reader'), join(folder, 'reader.cc'), '-lHepMC3']);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('reads generated events as they were made', async () => {
    const settings = { ...TOY_DEFAULTS, seed: 4 };
    const chunks: Uint8Array[] = [];
    const keep = async (chunk: Uint8Array) => {
      chunks.push(chunk);
    };
    await generateTo(keep, { ...settings, events: 500 });
    const file = join(folder, 'toy.hepmc3');
    writeFileSync(file, Buffer.concat(chunks));
    const read = spawnSync(join(folder, 'reader'), [file], { encoding: 'utf8' });
    expect(read.stderr).toBe('');
    const lines = read.stdout.trim().split('\n');
    expect(lines).toHaveLength(500);
    for (const [index, line] of lines.entries()) {
      const [eventNumber, particles, vertices, final, beams, weights, worst, flight] = line.split(' ').map(Number);
      const event = toyEvent(settings, index + 1);
      expect({ eventNumber, particles, vertices, final, beams, weights }).toEqual({
        eventNumber: index + 1,
        particles: event.particles.length,
        vertices: event.vertices.length,
        final: event.particles.filter(({ status }) => status === 1).length,
        beams: 2,
        weights: 1,
      });
      expect(worst).toBeLessThan(1e-11);
      const expectedFlight = event.vertices.reduce((sum, { position }) => sum + position.t, 0);
      expect(flight).toBeCloseTo(expectedFlight, 6);
    }
  });
});

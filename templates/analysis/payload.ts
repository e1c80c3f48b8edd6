/**
 * Invariant mass of lepton pairs. Each event fills histograms; granule adds them up while it merges; at the end they are
 * drawn.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawHistogram, readHistograms } from 'granule/histogram';
import { definePayload, type LheEvent, type LheParticle } from 'granule/payload';

const MASS = { name: 'mass', title: 'Invariant mass of lepton pairs', xLabel: 'm [GeV]', bins: 60, low: 60, high: 120 };
const RAPIDITY = { name: 'rapidity', title: 'Rapidity of lepton pairs', xLabel: 'y', bins: 40, low: -4, high: 4 };

const ELECTRON = 11;
const MUON = 13;

export default definePayload<Record<string, never>, undefined, LheEvent>({
  name: '{{name}}',
  version: '1',
  inputFormats: ['lhe'],
  outputs: { HISTOGRAMS: { format: 'histogram' } },

  execute(event, context) {
    const { particles, weight } = event.decode();
    const histograms = context.output('HISTOGRAMS');
    for (const [lepton, antilepton] of leptonPairs(particles)) {
      const energy = lepton.energy + antilepton.energy;
      const [px, py, pz] = [lepton.px + antilepton.px, lepton.py + antilepton.py, lepton.pz + antilepton.pz];
      // Products, sums and roots are the same on any machine; the last bits of ** need not be.
      const squared = energy * energy - px * px - py * py - pz * pz;
      histograms.write({ ...MASS, x: Math.sqrt(Math.max(0, squared)), weight });
      histograms.write({ ...RAPIDITY, x: Math.log((energy + pz) / (energy - pz)) / 2, weight });
    }
  },

  report({ outputs, folder, log }) {
    for (const histogram of readHistograms(outputs['HISTOGRAMS'])) {
      const path = join(folder, `${histogram.name}.svg`);
      writeFileSync(path, drawHistogram(histogram));
      log.info('histogram drawn', { path, entries: histogram.entries });
    }
  },
});

/** Final-state leptons of one kind and opposite charge: every combination. */
function leptonPairs(particles: readonly LheParticle[]): [LheParticle, LheParticle][] {
  const final = particles.filter(({ status }) => status === 1);
  return [ELECTRON, MUON].flatMap((kind) =>
    final
      .filter(({ pdgId }) => pdgId === kind)
      .flatMap((lepton) =>
        final
          .filter(({ pdgId }) => pdgId === -kind)
          .map((antilepton): [LheParticle, LheParticle] => [lepton, antilepton]),
      ),
  );
}

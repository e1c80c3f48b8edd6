/** The particles of the toy generator: masses, life times and decays, from the Review of Particle Physics (2024). */

export interface DecayChannel {
  /** of the particle; an antiparticle decays into the antiparticles */
  readonly products: readonly number[];
  /** branching fraction; those of one particle are scaled to add up to 1 */
  readonly fraction: number;
}

export interface ToyParticleData {
  readonly massGeV: number;
  /** mean life time times c; 0 for a decay at the place of production */
  readonly lifeTimeMm: number;
  /** empty for the stable */
  readonly decays: readonly DecayChannel[];
}

const stable = (massGeV: number): ToyParticleData => ({ massGeV, lifeTimeMm: 0, decays: [] });

const PARTICLES: ReadonlyMap<number, ToyParticleData> = new Map([
  [11, stable(0.00051099895)],
  [13, stable(0.1056583755)],
  [22, stable(0)],
  [130, stable(0.497611)],
  [211, stable(0.13957039)],
  [321, stable(0.493677)],
  [2112, stable(0.93956542)],
  [2212, stable(0.93827209)],
  [
    111,
    {
      massGeV: 0.1349768,
      lifeTimeMm: 0,
      decays: [
        { products: [22, 22], fraction: 0.98823 },
        { products: [22, 11, -11], fraction: 0.01174 },
      ],
    },
  ],
  [
    221,
    {
      massGeV: 0.547862,
      lifeTimeMm: 0,
      decays: [
        { products: [22, 22], fraction: 0.3936 },
        { products: [111, 111, 111], fraction: 0.3257 },
        { products: [211, -211, 111], fraction: 0.2302 },
        { products: [211, -211, 22], fraction: 0.0428 },
      ],
    },
  ],
  [
    310,
    {
      massGeV: 0.497611,
      lifeTimeMm: 26.844,
      decays: [
        { products: [211, -211], fraction: 0.692 },
        { products: [111, 111], fraction: 0.3069 },
      ],
    },
  ],
  [
    3122,
    {
      massGeV: 1.115683,
      lifeTimeMm: 78.9,
      decays: [
        { products: [2212, -211], fraction: 0.641 },
        { products: [2112, 111], fraction: 0.359 },
      ],
    },
  ],
]);

const OWN_ANTIPARTICLES: ReadonlySet<number> = new Set([22, 111, 130, 221, 310]);

/** The number of the antiparticle. */
export function antiparticle(pdgId: number): number {
  return OWN_ANTIPARTICLES.has(pdgId) ? pdgId : -pdgId;
}

/** Undefined for a particle that the generator does not make. */
export function findToyParticle(pdgId: number): ToyParticleData | undefined {
  return PARTICLES.get(Math.abs(pdgId));
}

/**
 * What may come out of the collision, with relative rates that resemble hadronic Z decays: pairs and neutral particles
 * without any quantum number, so that charge, baryon number, strangeness and lepton numbers are conserved.
 */
export const PRIMARY_CHOICES: readonly { readonly pdgIds: readonly number[]; readonly rate: number }[] = [
  { pdgIds: [211, -211], rate: 0.42 },
  { pdgIds: [111], rate: 0.3 },
  { pdgIds: [321, -321], rate: 0.07 },
  { pdgIds: [310, 130], rate: 0.05 },
  { pdgIds: [221], rate: 0.04 },
  { pdgIds: [2212, -2212], rate: 0.04 },
  { pdgIds: [2112, -2112], rate: 0.03 },
  { pdgIds: [3122, -3122], rate: 0.02 },
  { pdgIds: [22], rate: 0.01 },
  { pdgIds: [11, -11], rate: 0.01 },
  { pdgIds: [13, -13], rate: 0.01 },
];

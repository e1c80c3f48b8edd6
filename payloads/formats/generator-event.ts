/**
 * The event models that `event.decode()` returns: HepMC3 and HepMC2 share {@link GeneratorEvent}; LHE has
 * {@link LheEvent}. Their particles share {@link Particle}.
 */

/** Four-momentum in the event's units (LHE: GeV), c = 1. */
export interface Particle {
  /** number the file gives it: HepMC3 1, 2, …; HepMC2 its barcode; LHE its line, from 1 */
  readonly id: number;
  /** Particle Data Group Monte Carlo number */
  readonly pdgId: number;
  readonly px: number;
  readonly py: number;
  readonly pz: number;
  readonly energy: number;
  readonly mass: number;
  /** generator status; 1 is a final-state particle */
  readonly status: number;
}

export interface GeneratorParticle extends Particle {
  /** index into `vertices` of the vertex it comes from, -1 for none */
  readonly productionVertex: number;
  /** index into `vertices` of the vertex it ends in, -1 for none */
  readonly endVertex: number;
}

export interface Position {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  /** c·t, in the length unit */
  readonly t: number;
}

export interface GeneratorVertex {
  /** negative, as in the file; vertices that HepMC3 leaves out take the free numbers */
  readonly id: number;
  readonly status: number;
  /** in the event's length unit; undefined when the file gives none, see {@link vertexPosition} */
  readonly position: Position | undefined;
  /** indices into `particles` */
  readonly incoming: readonly number[];
  readonly outgoing: readonly number[];
}

/** A named text the generator attached (HepMC3 `A` lines; HepMC2's fixed fields under the names HepMC3 gives them). */
export interface GeneratorAttribute {
  /** 0 the event, > 0 the particle of that id, < 0 the vertex of that id */
  readonly ownerId: number;
  readonly name: string;
  readonly value: string;
}

export interface GeneratorEvent {
  readonly eventNumber: number;
  readonly momentumUnit: 'GEV' | 'MEV';
  readonly lengthUnit: 'MM' | 'CM';
  readonly weights: readonly number[];
  /** as many as `weights`, or empty when the file names none */
  readonly weightNames: readonly string[];
  /** shift of the whole event, if the file gives one */
  readonly position: Position | undefined;
  readonly particles: readonly GeneratorParticle[];
  readonly vertices: readonly GeneratorVertex[];
  readonly attributes: readonly GeneratorAttribute[];
}

export interface LheParticle extends Particle {
  /** ids of first and last mother, 0 for none (MOTHUP) */
  readonly mothers: readonly [number, number];
  /** colour-flow tags (ICOLUP) */
  readonly colours: readonly [number, number];
  /** invariant lifetime c·τ in mm (VTIMUP) */
  readonly lifetime: number;
  /** cosine of the angle between spin and mother's three-momentum, 9 for unknown (SPINUP) */
  readonly spin: number;
}

/** One `<event>` block (Alwall et al., Comput. Phys. Commun. 176 (2007) 300). Its `status` is ISTUP; momenta in GeV. */
export interface LheEvent {
  readonly processId: number;
  readonly weight: number;
  /** in GeV, -1 for unknown */
  readonly scale: number;
  readonly alphaQED: number;
  readonly alphaQCD: number;
  readonly particles: readonly LheParticle[];
  /** `<rwgt>`: weights by id; `<weights>`: ids are `1`, `2`, … in order */
  readonly weights: readonly { readonly id: string; readonly value: number }[];
  /** attributes of the `<event …>` tag */
  readonly attributes: Readonly<Record<string, string>>;
  /** `#` lines without their `#` */
  readonly comments: readonly string[];
}

const ORIGIN: Position = { x: 0, y: 0, z: 0, t: 0 };

/**
 * Where a vertex lies: its own position, else that of the nearest ancestor which has one, else the event's shift, else
 * the origin (the rule of `HepMC3::GenVertex::position`).
 *
 * @param vertex index into `event.vertices`, -1 for a particle without production vertex
 */
export function vertexPosition(event: GeneratorEvent, vertex: number): Position {
  let index = vertex;
  for (let step = 0; step <= event.vertices.length; step += 1) {
    const candidate = event.vertices[index];
    if (candidate === undefined) break;
    if (candidate.position !== undefined) return candidate.position;
    const mother = candidate.incoming[0];
    index = mother === undefined ? -1 : (event.particles[mother]?.productionVertex ?? -1);
  }
  return event.position ?? ORIGIN;
}

/** Puts a {@link GeneratorEvent} together from lines in file order; both HepMC decoders use it. */
import type {
  GeneratorAttribute,
  GeneratorEvent,
  GeneratorParticle,
  GeneratorVertex,
  Particle,
  Position,
} from './generator-event.ts';

type Building<T> = { -readonly [Key in keyof T]: T[Key] };
export type ParticleDraft = Building<GeneratorParticle>;
export type VertexDraft = Building<Omit<GeneratorVertex, 'incoming' | 'outgoing'>> & {
  readonly incoming: number[];
  readonly outgoing: number[];
};

export class GeneratorEventBuilder {
  eventNumber = Number.NaN;
  momentumUnit: 'GEV' | 'MEV' = 'GEV';
  lengthUnit: 'MM' | 'CM' = 'MM';
  weights: number[] = [];
  weightNames: readonly string[] = [];
  position: Position | undefined;
  readonly particles: ParticleDraft[] = [];
  readonly vertices: VertexDraft[] = [];
  readonly attributes: GeneratorAttribute[] = [];

  addParticle({ id, pdgId, px, py, pz, energy, mass, status }: Particle): ParticleDraft {
    // Written out: spreading would cost more than reading the line did.
    const draft = { id, pdgId, px, py, pz, energy, mass, status, productionVertex: -1, endVertex: -1 };
    this.particles.push(draft);
    return draft;
  }

  /** Index of the new vertex. */
  addVertex(id: number, status: number, position: Position | undefined): number {
    return this.vertices.push({ id, status, position, incoming: [], outgoing: [] }) - 1;
  }

  addAttribute(ownerId: number, name: string, value: string): void {
    this.attributes.push({ ownerId, name, value });
  }

  connectOutgoing(vertex: number, particle: number): void {
    const draft = this.particles[particle];
    if (draft === undefined) return;
    draft.productionVertex = vertex;
    this.vertices[vertex]?.outgoing.push(particle);
  }

  connectIncoming(vertex: number, particle: number): void {
    const draft = this.particles[particle];
    if (draft === undefined) return;
    draft.endVertex = vertex;
    this.vertices[vertex]?.incoming.push(particle);
  }

  build(): GeneratorEvent {
    const { eventNumber, momentumUnit, lengthUnit, weights, weightNames, position } = this;
    const { particles, vertices, attributes } = this;
    return { eventNumber, momentumUnit, lengthUnit, weights, weightNames, position, particles, vertices, attributes };
  }
}

/** `U GEV MM`, either version. */
export function readUnits(
  builder: GeneratorEventBuilder,
  reader: { word(name: string): string; fail(message: string): never },
): void {
  const momentum = reader.word('momentum unit');
  const length = reader.word('length unit');
  if (momentum !== 'GEV' && momentum !== 'MEV') reader.fail(`has the unknown momentum unit "${momentum}"`);
  if (length !== 'MM' && length !== 'CM') reader.fail(`has the unknown length unit "${length}"`);
  builder.momentumUnit = momentum;
  builder.lengthUnit = length;
}

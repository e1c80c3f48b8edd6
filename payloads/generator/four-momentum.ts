/** Four-momenta in GeV (natural units, metric + - - -) and the boost between frames. */

export interface FourMomentum {
  readonly px: number;
  readonly py: number;
  readonly pz: number;
  readonly energy: number;
}

/** The momentum of a particle of `mass` GeV: its energy is computed, so that it is on its mass shell. */
export function onShell(px: number, py: number, pz: number, mass: number): FourMomentum {
  return { px, py, pz, energy: Math.sqrt(mass * mass + px * px + py * py + pz * pz) };
}

/**
 * Takes a momentum from the rest frame of a parent into the frame in which the parent has the momentum given.
 *
 * @param mass of the particle; @param parentMass of the parent, above 0
 */
export function boostFromRest(
  momentum: FourMomentum,
  mass: number,
  parent: FourMomentum,
  parentMass: number,
): FourMomentum {
  const along = momentum.px * parent.px + momentum.py * parent.py + momentum.pz * parent.pz;
  const factor = (along / (parent.energy + parentMass) + momentum.energy) / parentMass;
  return onShell(
    momentum.px + factor * parent.px,
    momentum.py + factor * parent.py,
    momentum.pz + factor * parent.pz,
    mass,
  );
}

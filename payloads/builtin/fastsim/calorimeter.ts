/**
 * The calorimeter: energy seen of each kind of particle, and its division among cells.
 *
 * Six layers, one behind the other: three electromagnetic (lead and liquid argon, 22.3 radiation lengths), three
 * hadronic (iron and scintillator, 7.5 interaction lengths); depths and cell sizes as in ATLAS's barrel. Cells point
 * to the origin: equal steps of pseudorapidity and azimuth.
 */
import type { Random } from '../../payload.ts';
import type { Detector, EnergyResolution } from './detector.ts';
import type { TrackState } from './helix.ts';
import { electromagneticDepth, hadronicDepth, radialDistance } from './shower-profile.ts';

/** Depth of the back of each electromagnetic layer, in radiation lengths. */
const EM_LAYER_ENDS_X0 = [4.3, 20.3, 22.3] as const;
const EM_DEPTH_X0 = 22.3;
/** The same layers together, in interaction lengths. */
const EM_DEPTH_LAMBDA = 1.2;
/** Depth of the back of each hadronic layer from the front of the calorimeter, in interaction lengths. */
const HADRONIC_LAYER_ENDS_LAMBDA = [2.7, 6.8, 8.7] as const;
const EM_LAYER_COUNT = EM_LAYER_ENDS_X0.length;
export const CALORIMETER_LAYER_COUNT = EM_LAYER_COUNT + HADRONIC_LAYER_ENDS_LAMBDA.length;

/** Lengths: 22.3 X0 fill the 470 mm of ATLAS's barrel; hadronic: 7.5 interaction lengths in 1970 mm. */
const X0_MM = 21;
const LAMBDA_MM = 263;
/** Half of a shower's energy lies within: a third of the Moliere radius (lead and argon: 45 mm), a quarter of lambda. */
const EM_MEDIAN_RADIUS_MM = 15;
const HADRONIC_MEDIAN_RADIUS_MM = 65;

/**
 * Mean loss of a minimum ionising particle per layer at a right angle, in GeV: 1.122 MeV cm2/g times 6.37 g/cm2 per
 * radiation length of lead, 1.451 MeV cm2/g times 132.1 g/cm2 per interaction length of iron ("Atomic and Nuclear
 * Properties").
 */
const MIP_LOSS_GEV: readonly number[] = [
  0.00715 * 4.3,
  0.00715 * 16,
  0.00715 * 2,
  0.1917 * 1.5,
  0.1917 * 4.1,
  0.1917 * 1.9,
];
/** Width of the Landau distribution in units of the mean loss: K Z/A / 2 over dE/dx, 0.05 for iron and lead. */
const LANDAU_WIDTH = 0.05;
/** Mean of Moyal's distribution: Euler's constant plus ln 2. */
const MOYAL_MEAN = 1.2703628454614782;
/** Muons that graze a layer; more would be a path through other layers. */
const OBLIQUITY_MAX = 5;

/** Cells per turn, and pseudorapidity steps per unit: 0.025 x 0.025 and 0.1 x 0.1. */
const EM_CELLS = { azimuth: 256, perEta: 40 } as const;
const HADRONIC_CELLS = { azimuth: 64, perEta: 10 } as const;
/** Cells are numbered in pseudorapidity from minus this. */
const ETA_INDEX_MAX = 1023;

/** A particle at the calorimeter's surface. */
export interface CalorimeterEntry {
  readonly state: TrackState;
  readonly side: 'barrel' | 'endcap';
}

/** One cell with energy. Azimuth and pseudorapidity of its middle: see {@link cellCentre}. */
export interface CalorimeterCell {
  /** 0..2 electromagnetic, 3..5 hadronic, from the inside out */
  readonly layer: number;
  /** pseudorapidity from etaIndex / n to (etaIndex + 1) / n, n = 40 or 10 */
  readonly etaIndex: number;
  /** azimuth from -pi + phiIndex 2 pi / n on, n = 256 or 64 */
  readonly phiIndex: number;
  readonly energyGeV: number;
}

/** Direction of the middle of a cell. */
export function cellCentre(cell: Pick<CalorimeterCell, 'layer' | 'etaIndex' | 'phiIndex'>): {
  readonly eta: number;
  readonly phi: number;
} {
  const { azimuth, perEta } = cell.layer < EM_LAYER_COUNT ? EM_CELLS : HADRONIC_CELLS;
  return { eta: (cell.etaIndex + 0.5) / perEta, phi: ((cell.phiIndex + 0.5) * 2 * Math.PI) / azimuth - Math.PI };
}

/** Energy as measured: sigma^2 = stochastic^2 E + noise^2 + constant^2 E^2, not below zero. */
export function measuredEnergy(energyGeV: number, resolution: EnergyResolution, random: Random): number {
  const { stochastic, noiseGeV, constant } = resolution;
  const variance =
    stochastic * stochastic * energyGeV + noiseGeV * noiseGeV + constant * constant * energyGeV * energyGeV;
  return Math.max(0, energyGeV + random.gaussian() * Math.sqrt(variance));
}

/** The calorimeter during one event. */
export class Calorimeter {
  private readonly detector: Detector;
  private readonly random: Random;
  private readonly energies = new Map<number, number>();

  constructor(detector: Detector, random: Random) {
    this.detector = detector;
    this.random = random;
  }

  addElectromagneticShower(entry: CalorimeterEntry, energyGeV: number, photon: boolean): void {
    const measured = measuredEnergy(energyGeV, this.detector.electromagnetic, this.random);
    this.spread(entry, measured, EM_MEDIAN_RADIUS_MM, () => {
      const depth = electromagneticDepth(energyGeV, photon, this.random);
      return { layer: electromagneticLayer(depth), depthMm: depth * X0_MM };
    });
  }

  addHadronicShower(entry: CalorimeterEntry, energyGeV: number): void {
    const measured = measuredEnergy(energyGeV, this.detector.hadronic, this.random);
    const firstInteraction = this.random.exponential();
    this.spread(entry, measured, HADRONIC_MEDIAN_RADIUS_MM, () => {
      const depth = firstInteraction + hadronicDepth(energyGeV, this.random);
      return { layer: hadronicLayer(depth), depthMm: depth * LAMBDA_MM };
    });
  }

  /**
   * Ionisation along a straight line through all layers, until the kinetic energy is used up; the fluctuations follow
   * Moyal's approximation of the Landau distribution (J. E. Moyal, Phil. Mag. 46 (1955) 263): minus the logarithm of
   * the square of a normal number.
   */
  addIonisation(entry: CalorimeterEntry, kineticGeV: number): void {
    const direction = directionOf(entry.state);
    const obliquity = Math.min(1 / incidence(entry), OBLIQUITY_MAX);
    let left = kineticGeV;
    let depthMm = 0;
    for (const [layer, lossGeV] of MIP_LOSS_GEV.entries()) {
      const normal = this.random.gaussian();
      const fluctuation = -Math.log(normal * normal) - MOYAL_MEAN;
      const loss = Math.min(left, lossGeV * obliquity * (1 + LANDAU_WIDTH * fluctuation));
      const { x, y, z } = entry.state;
      this.add(layer, x + depthMm * direction.x, y + depthMm * direction.y, z + depthMm * direction.z, loss);
      left -= loss;
      depthMm += (layer < EM_LAYER_COUNT ? (EM_DEPTH_X0 * X0_MM) / EM_LAYER_COUNT : 2 * LAMBDA_MM) * obliquity;
    }
  }

  /** Sorted by layer, pseudorapidity, azimuth. */
  cells(): CalorimeterCell[] {
    return [...this.energies]
      .sort(([first], [second]) => first - second)
      .map(([key, energyGeV]) => ({
        layer: Math.floor(key / 0x8_0000),
        etaIndex: (Math.floor(key / 0x100) % 0x800) - ETA_INDEX_MAX - 1,
        phiIndex: key % 0x100,
        energyGeV,
      }));
  }

  /** Divides an energy into equal spots around the axis of a shower. */
  private spread(
    entry: CalorimeterEntry,
    energyGeV: number,
    medianRadiusMm: number,
    drawDepth: () => { readonly layer: number; readonly depthMm: number },
  ): void {
    if (energyGeV <= 0) return;
    const { random } = this;
    const { x, y, z } = entry.state;
    const axis = directionOf(entry.state);
    // Two directions across: azimuthal, and the one that completes the frame.
    const transverse = Math.sqrt(axis.x * axis.x + axis.y * axis.y);
    const [e1x, e1y] = [-axis.y / transverse, axis.x / transverse];
    const [e2x, e2y, e2z] = [-e1y * axis.z, e1x * axis.z, -transverse];
    const spotGeV = energyGeV / this.detector.spotsPerShower;
    for (let spot = 0; spot < this.detector.spotsPerShower; spot += 1) {
      const { layer, depthMm } = drawDepth();
      const radius = radialDistance(medianRadiusMm, random);
      const angle = 2 * Math.PI * random.uniform();
      const first = radius * Math.cos(angle);
      const second = radius * Math.sin(angle);
      this.add(
        layer,
        x + depthMm * axis.x + first * e1x + second * e2x,
        y + depthMm * axis.y + first * e1y + second * e2y,
        z + depthMm * axis.z + second * e2z,
        spotGeV,
      );
    }
  }

  private add(layer: number, x: number, y: number, z: number, energyGeV: number): void {
    const { azimuth, perEta } = layer < EM_LAYER_COUNT ? EM_CELLS : HADRONIC_CELLS;
    const eta = Math.asinh(z / Math.sqrt(x * x + y * y));
    const etaIndex = Math.max(-ETA_INDEX_MAX, Math.min(ETA_INDEX_MAX, Math.floor(eta * perEta)));
    const turn = (Math.atan2(y, x) + Math.PI) / (2 * Math.PI);
    const phiIndex = Math.min(azimuth - 1, Math.floor(turn * azimuth));
    const key = (layer * 0x800 + etaIndex + ETA_INDEX_MAX + 1) * 0x100 + phiIndex;
    this.energies.set(key, (this.energies.get(key) ?? 0) + energyGeV);
  }
}

/** What leaks out at the back is counted in the last layer: leakage is part of the constant term. */
function electromagneticLayer(depthX0: number): number {
  const layer = EM_LAYER_ENDS_X0.findIndex((end) => depthX0 < end);
  return layer === -1 ? EM_LAYER_COUNT - 1 : layer;
}

function hadronicLayer(depthLambda: number): number {
  if (depthLambda < EM_DEPTH_LAMBDA) return electromagneticLayer((depthLambda / EM_DEPTH_LAMBDA) * EM_DEPTH_X0);
  const layer = HADRONIC_LAYER_ENDS_LAMBDA.findIndex((end) => depthLambda < end);
  return layer === -1 ? CALORIMETER_LAYER_COUNT - 1 : EM_LAYER_COUNT + layer;
}

function directionOf({ px, py, pz }: TrackState): { readonly x: number; readonly y: number; readonly z: number } {
  const momentum = Math.sqrt(px * px + py * py + pz * pz);
  return { x: px / momentum, y: py / momentum, z: pz / momentum };
}

/** Cosine of the angle between the direction and the normal of the surface. */
function incidence({ state, side }: CalorimeterEntry): number {
  const direction = directionOf(state);
  if (side === 'endcap') return Math.abs(direction.z);
  const radius = Math.sqrt(state.x * state.x + state.y * state.y);
  return Math.abs(state.x * direction.x + state.y * direction.y) / radius;
}

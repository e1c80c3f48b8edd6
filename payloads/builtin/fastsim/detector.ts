/**
 * The detector of `fastsim`: a solenoid, cylindrical tracking layers and a calorimeter of a barrel and two end caps,
 * with the dimensions and resolutions of ATLAS as far as so simple a picture has them.
 *
 * Sources: ATLAS Collaboration, JINST 3 (2008) S08003 (radii, lengths and resolutions of pixels and strips, depth and
 * granularity of the calorimeters); ATLAS IBL, JINST 13 (2018) T05008 (innermost layer); Particle Data Group, Review of
 * Particle Physics (2024), "Particle Detectors at Accelerators" (10%/sqrt(E) + 0.4% + 0.3 GeV/E of the liquid argon
 * calorimeter). The hadronic 50%/sqrt(E) + 3% is ATLAS's design goal; its noise of 0.5 GeV is a choice of ours for
 * after noise suppression (1.7 GeV were measured without: hep-ex/0004009).
 */
import type { FastsimOptions } from './fastsim-options.ts';

/** A cylinder around the beam line. */
export interface TrackerLayer {
  readonly radiusMm: number;
  /** sensitive for |z| up to this */
  readonly halfLengthMm: number;
  /** standard deviation of the measured place along the circumference */
  readonly rPhiResolutionMm: number;
  readonly zResolutionMm: number;
  /** thickness in radiation lengths, crossed at a right angle */
  readonly thicknessX0: number;
}

/** sigma / E = stochastic / sqrt(E) (+) noise / E (+) constant, added in quadrature, E in GeV. */
export interface EnergyResolution {
  readonly stochastic: number;
  readonly noiseGeV: number;
  readonly constant: number;
}

/** Plain data: made once by `prepare`, copied to each worker. */
export interface Detector {
  /** along +z, everywhere inside the calorimeter */
  readonly fieldTesla: number;
  /** from the inside out */
  readonly layers: readonly TrackerLayer[];
  /** chance that a layer sees a charged particle that crosses it */
  readonly hitEfficiency: number;
  /** inner surface of the barrel */
  readonly calorimeterRadiusMm: number;
  /** inner surfaces of the end caps are at plus and minus this z */
  readonly calorimeterHalfLengthMm: number;
  /** end caps reach inwards to this |pseudorapidity|, seen from the origin */
  readonly calorimeterEtaMax: number;
  readonly electromagnetic: EnergyResolution;
  readonly hadronic: EnergyResolution;
  /** energy spots into which each shower is divided */
  readonly spotsPerShower: number;
}

/** Spots per shower for each unit of `effort`. */
const SPOTS_PER_EFFORT = 24;

/** The options' lists have one value per layer or one value for all: see `fastsim-options.ts`. */
export function buildDetector(options: FastsimOptions): Detector {
  const perLayer = (values: readonly number[], index: number): number => values[values.length === 1 ? 0 : index] ?? 0;
  const layers = options.layerRadiiMm.map((radiusMm, index) => ({
    radiusMm,
    halfLengthMm: perLayer(options.layerHalfLengthsMm, index),
    rPhiResolutionMm: perLayer(options.rPhiResolutionsUm, index) / 1000,
    zResolutionMm: perLayer(options.zResolutionsUm, index) / 1000,
    thicknessX0: perLayer(options.layerThicknessesX0, index),
  }));
  return {
    fieldTesla: options.fieldTesla,
    layers: layers.sort((a, b) => a.radiusMm - b.radiusMm),
    hitEfficiency: options.hitEfficiency,
    calorimeterRadiusMm: options.calorimeterRadiusMm,
    calorimeterHalfLengthMm: options.calorimeterHalfLengthMm,
    calorimeterEtaMax: options.calorimeterEtaMax,
    electromagnetic: {
      stochastic: options.ecalStochastic,
      noiseGeV: options.ecalNoiseGeV,
      constant: options.ecalConstant,
    },
    hadronic: {
      stochastic: options.hcalStochastic,
      noiseGeV: options.hcalNoiseGeV,
      constant: options.hcalConstant,
    },
    spotsPerShower: SPOTS_PER_EFFORT * options.effort,
  };
}

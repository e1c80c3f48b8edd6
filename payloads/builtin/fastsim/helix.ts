/**
 * The path of a particle in a uniform field along z: a helix, or a straight line without charge or field.
 *
 * With s the path length in the transverse plane, u the transverse direction at the start and kappa the turning angle
 * per length, a = kappa s, u(s) is u turned by a, and
 *   x(s) = x + (ux sin a - uy (1 - cos a)) / kappa
 *   y(s) = y + (uy sin a + ux (1 - cos a)) / kappa
 *   z(s) = z + s pz / pT.
 * kappa = -q B / pT with 0.299792458 GeV/(T m) per unit charge (the momentum of a circle: Review of Particle Physics,
 * "Particle Detectors at Accelerators", pT = 0.3 q B R).
 */

/** GeV per tesla and mm, for unit charge: the speed of light. */
const GEV_PER_TESLA_MM = 2.99792458e-4;

/** Per mm: what bends less is straight, to a ten-millionth of a millimetre in the largest detector. */
const STRAIGHT_KAPPA = 1e-15;

/** A charged or neutral particle at a place: mm and GeV. */
export interface TrackState {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly px: number;
  readonly py: number;
  readonly pz: number;
}

export class Helix {
  readonly transverseMomentum: number;
  private readonly start: TrackState;
  /** transverse direction at the start */
  private readonly ux: number;
  private readonly uy: number;
  /** signed angle turned per mm of transverse path */
  private readonly kappa: number;

  /** @param start with transverse momentum above 0; @param charge in units of the proton's */
  constructor(start: TrackState, charge: number, fieldTesla: number) {
    this.start = start;
    this.transverseMomentum = Math.sqrt(start.px * start.px + start.py * start.py);
    this.ux = start.px / this.transverseMomentum;
    this.uy = start.py / this.transverseMomentum;
    const kappa = (-charge * fieldTesla * GEV_PER_TESLA_MM) / this.transverseMomentum;
    this.kappa = Math.abs(kappa) < STRAIGHT_KAPPA ? 0 : kappa;
  }

  /** @param path transverse path length in mm, from 0 on */
  at(path: number): TrackState {
    const { start, ux, uy, kappa } = this;
    const angle = kappa * path;
    const sine = Math.sin(angle);
    const halfSine = Math.sin(angle / 2);
    const versine = 2 * halfSine * halfSine;
    const along = kappa === 0 ? path : sine / kappa;
    const across = kappa === 0 ? 0 : versine / kappa;
    return {
      x: start.x + ux * along - uy * across,
      y: start.y + uy * along + ux * across,
      z: start.z + (path * start.pz) / this.transverseMomentum,
      px: start.px - start.px * versine - start.py * sine,
      py: start.py - start.py * versine + start.px * sine,
      pz: start.pz,
    };
  }

  /**
   * Transverse path to the first crossing of the cylinder of this radius around the z axis; undefined if there is none.
   *
   * With w = tan(a / 2) / kappa, the squared distance from the axis is rational in w, and the crossings are the roots of
   * (4 + 4 kappa g - D kappa^2) w^2 + 4 b w - D = 0, where b = x ux + y uy, g = y ux - x uy, D = radius^2 - x^2 - y^2:
   * no difference of large numbers for stiff tracks, and the straight line is the case kappa = 0.
   */
  pathToRadius(radiusMm: number): number | undefined {
    const { start, ux, uy, kappa } = this;
    const b = start.x * ux + start.y * uy;
    const g = start.y * ux - start.x * uy;
    const difference = radiusMm * radiusMm - start.x * start.x - start.y * start.y;
    const quadratic = 4 + 4 * kappa * g - difference * kappa * kappa;
    const discriminant = 4 * b * b + quadratic * difference;
    if (discriminant < 0) return undefined;
    // The root of larger magnitude first, the other one by Vieta: exact also where b and the square root nearly cancel.
    const sum = -(2 * b + (b < 0 ? -1 : 1) * Math.sqrt(discriminant));
    const first = this.pathOfRoot(sum / quadratic);
    const second = this.pathOfRoot(-difference / sum);
    const path = Math.min(first, second);
    return Number.isFinite(path) ? path : undefined;
  }

  /** Forward path to the point of parameter w; infinite for none (behind on a straight line, or a root at infinity). */
  private pathOfRoot(w: number): number {
    const { kappa } = this;
    if (Number.isNaN(w) || w === 0) return Number.POSITIVE_INFINITY;
    if (kappa === 0) return w > 0 ? 2 * w : Number.POSITIVE_INFINITY;
    const curvature = Math.abs(kappa);
    const halfAngle = Math.atan(curvature * w);
    return (2 * (w > 0 ? halfAngle : Math.PI + halfAngle)) / curvature;
  }

  /** Transverse path to the plane at this z; undefined if the particle does not go there. */
  pathToPlane(zMm: number): number | undefined {
    const path = ((zMm - this.start.z) * this.transverseMomentum) / this.start.pz;
    return Number.isFinite(path) && path > 0 ? path : undefined;
  }
}

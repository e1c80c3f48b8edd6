import { describe, expect, it } from 'vitest';
import { chargeTimesThree, particleKind } from '../../payloads/particle-numbering.ts';

describe('charge', () => {
  it.each([
    [1, -1, 'd'],
    [2, 2, 'u'],
    [-5, 1, 'anti-b'],
    [21, 0, 'gluon'],
    [22, 0, 'photon'],
    [11, -3, 'e-'],
    [-13, 3, 'mu+'],
    [12, 0, 'nu_e'],
    [24, 3, 'W+'],
    [-37, -3, 'H-'],
    [111, 0, 'pi0'],
    [211, 3, 'pi+'],
    [-213, -3, 'rho-'],
    [130, 0, 'K0L'],
    [310, 0, 'K0S'],
    [311, 0, 'K0'],
    [321, 3, 'K+'],
    [-323, -3, 'K*-'],
    [411, 3, 'D+'],
    [421, 0, 'D0'],
    [431, 3, 'D_s+'],
    [443, 0, 'J/psi'],
    [511, 0, 'B0'],
    [521, 3, 'B+'],
    [531, 0, 'B_s0'],
    [541, 3, 'B_c+'],
    [100443, 0, 'psi(2S)'],
    [9000211, 3, 'a0(980)+'],
    [10323, 3, 'K1(1270)+'],
    [2112, 0, 'n'],
    [2212, 3, 'p'],
    [-2212, -3, 'anti-p'],
    [2224, 6, 'Delta++'],
    [1114, -3, 'Delta-'],
    [3122, 0, 'Lambda'],
    [3222, 3, 'Sigma+'],
    [-3112, 3, 'anti-Sigma-'],
    [3312, -3, 'Xi-'],
    [3334, -3, 'Omega-'],
    [4122, 3, 'Lambda_c+'],
    [4222, 6, 'Sigma_c++'],
    [5122, 0, 'Lambda_b0'],
    [5332, -3, 'Omega_b-'],
    [2203, 4, 'uu diquark'],
    [-2101, -1, 'anti-ud diquark'],
    [990, 0, 'pomeron'],
    [1000010020, 3, 'deuteron'],
    [1000020040, 6, 'alpha'],
    [-1000822080, -246, 'anti-Pb208'],
    [1000024, 3, 'chargino'],
    [1000022, 0, 'neutralino'],
    [0, 0, 'nothing'],
  ])('of %i is %i/3 (%s)', (pdgId, charge) => {
    expect(chargeTimesThree(pdgId)).toBe(charge);
  });
});

describe('kind', () => {
  it.each([
    ['electron', [11, -11]],
    ['photon', [22]],
    ['muon', [13, -13]],
    ['meson', [211, -211, 111, 130, 310, 321, 443, 100443, 9000211, 511]],
    ['baryon', [2212, -2112, 3122, 2224, 4122]],
    ['nucleus', [1000010020, 1000822080]],
    ['parton', [1, -2, 5, 21, 2203, -3101]],
    ['invisible', [12, -14, 16, 39, 1000022]],
    ['other', [6, 15, 23, 24, 25, 0, 110, 990, 9990, 1000021, 2000011, 99]],
  ] as const)('%s', (kind, pdgIds) => {
    for (const pdgId of pdgIds) expect([pdgId, particleKind(pdgId)]).toEqual([pdgId, kind]);
  });
});

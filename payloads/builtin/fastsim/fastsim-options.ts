/** Options of the payload `fastsim`. The sources of the defaults are named in `detector.ts`. */
import * as z from 'zod';
import { numberListValue, numberValue } from '../option-values.ts';

const positive = () => z.number().positive();
const fraction = () => z.number().min(0).max(1);
const share = (value: number, text: string) => numberValue(z.number().min(0).max(10)).default(value).describe(text);
const perLayer = 'one value per layer, or one for all';

export const schema = z
  .strictObject({
    effort: numberValue(z.int().min(1).max(1_000_000))
      .default(1)
      .describe('detail of the showers: energy spots per shower, in units of 24; CPU time grows with it'),
    fieldTesla: numberValue(z.number().min(-20).max(20)).default(2).describe('solenoid field along +z, in T'),
    hitEfficiency: numberValue(fraction()).default(0.99).describe('chance of a hit per layer crossed'),
    layerRadiiMm: numberListValue(positive())
      .default([33.25, 50.5, 88.5, 122.5, 299, 371, 443, 514])
      .describe('radii of the tracking layers, in mm'),
    layerHalfLengthsMm: numberListValue(positive())
      .default([332, 400.5, 400.5, 400.5, 749, 749, 749, 749])
      .describe(`half lengths of the tracking layers, in mm; ${perLayer}`),
    rPhiResolutionsUm: numberListValue(z.number().min(0))
      .default([8, 10, 10, 10, 17, 17, 17, 17])
      .describe(`hit resolution along the circumference, in um; ${perLayer}`),
    zResolutionsUm: numberListValue(z.number().min(0))
      .default([40, 115, 115, 115, 580, 580, 580, 580])
      .describe(`hit resolution along the beam, in um; ${perLayer}`),
    layerThicknessesX0: numberListValue(z.number().min(0).max(1))
      .default([0.02, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03])
      .describe(`material of a layer, in radiation lengths; ${perLayer}`),
    calorimeterRadiusMm: numberValue(positive())
      .default(1500)
      .describe('inner radius of the calorimeter barrel, in mm'),
    calorimeterHalfLengthMm: numberValue(positive()).default(3700).describe('|z| of the calorimeter end caps, in mm'),
    calorimeterEtaMax: numberValue(z.number().positive().max(10))
      .default(3.2)
      .describe('|pseudorapidity| the end caps reach to'),
    ecalStochastic: share(0.1, 'stochastic term for electrons and photons, in sqrt(GeV)'),
    ecalNoiseGeV: share(0.3, 'noise term for electrons and photons, in GeV'),
    ecalConstant: share(0.004, 'constant term for electrons and photons'),
    hcalStochastic: share(0.5, 'stochastic term for hadrons, in sqrt(GeV)'),
    hcalNoiseGeV: share(0.5, 'noise term for hadrons, in GeV'),
    hcalConstant: share(0.03, 'constant term for hadrons'),
  })
  .superRefine((options, context) => {
    const layerCount = options.layerRadiiMm.length;
    for (const key of ['layerHalfLengthsMm', 'rPhiResolutionsUm', 'zResolutionsUm', 'layerThicknessesX0'] as const) {
      const count = options[key].length;
      if (count === 1 || count === layerCount) continue;
      context.addIssue({
        code: 'custom',
        path: [key],
        message: `has ${count} values for ${layerCount} layers: give ${perLayer}`,
      });
    }
    if (Math.max(...options.layerRadiiMm) >= options.calorimeterRadiusMm) {
      context.addIssue({
        code: 'custom',
        path: ['layerRadiiMm'],
        message: 'all layers must lie inside the calorimeter',
      });
    }
  });

export type FastsimOptions = z.output<typeof schema>;

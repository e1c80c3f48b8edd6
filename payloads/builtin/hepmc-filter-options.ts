/** Options of the payload `hepmc-filter`. */
import * as z from 'zod';
import { numberListValue, numberValue } from './option-values.ts';

export const schema = z.strictObject({
  pdgId: numberListValue(z.int())
    .optional()
    .describe('PDG numbers that match, with their signs, for instance 13,-13; default: any'),
  ptMinGeV: numberValue(z.number().min(0))
    .default(0)
    .describe('least transverse momentum of a matching particle, in GeV'),
  etaMax: numberValue(z.number().min(0))
    .optional()
    .describe('largest |pseudorapidity| of a matching particle; default: any'),
  minMatching: numberValue(z.int().min(0))
    .optional()
    .describe('least number of matching final-state particles; default: 1 if one of the above is given, else 0'),
  minParticles: numberValue(z.int().min(0))
    .default(0)
    .describe('least number of final-state particles, matching or not'),
  every: numberValue(z.int().min(1)).default(1).describe('of the events at positions 1, 1+every, 1+2*every, ... only'),
});

export type HepmcFilterOptions = z.output<typeof schema>;

/** Options of the payload `spin`. */
import * as z from 'zod';
import { flagValue, numberValue } from './option-values.ts';

export const DISTRIBUTIONS = ['constant', 'exponential', 'lognormal', 'pareto'] as const;

export const schema = z.strictObject({
  dist: z.enum(DISTRIBUTIONS).default('constant').describe('distribution of the CPU time per event'),
  meanMs: numberValue(z.number().min(0).max(86_400_000))
    .default(10)
    .describe('mean of the distribution, before the cap, in ms of CPU time'),
  sigma: numberValue(z.number().min(0).max(5))
    .default(1)
    .describe('lognormal: standard deviation of the logarithm of the time'),
  alpha: numberValue(z.number().gt(1).max(100))
    .default(2.5)
    .describe('pareto: exponent of the tail; the mean is finite above 1, the variance above 2'),
  maxMs: numberValue(z.number().min(0).max(86_400_000))
    .default(600_000)
    .describe('cap on the time of one event, in ms'),
  wait: flagValue()
    .default(false)
    .describe('wait on a timer instead of burning CPU: to try out more workers than there are cores'),
});

export type SpinOptions = z.output<typeof schema>;

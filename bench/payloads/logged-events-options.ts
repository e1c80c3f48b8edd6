/** Options of the payload `logged-events`, in a file of their own as in a new project, so that no worker loads zod. */
import * as z from 'zod';

export const schema = z.strictObject({
  /** where the lines go */
  log: z.string(),
  /** units of CPU work per event, see `spinUnit` */
  units: z.number().int().min(0),
});

export type LoggedEventsOptions = z.output<typeof schema>;

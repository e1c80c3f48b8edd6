/** The options of a payload that has none: whatever is given is refused. */
import * as z from 'zod';

export const schema = z.strictObject({});

import { expect, it } from 'vitest';
import { definePayload, type PayloadDefinition } from '../../payloads/payload.ts';

/** The type check of the tests is what counts here: each expected error must be one, and nothing else may be. */
it('a payload knows its streams by name and format', () => {
  const typed = definePayload({
    name: 'typed',
    outputs: { HITS: { format: 'ndjson' }, MASS: { format: 'histogram' }, RAW: { format: 'as-input' } },
    execute(event, context) {
      context.output('HITS').write({ position: event.position });
      context.output('RAW').write(event.bytes);
      // @ts-expect-error there is no such stream
      context.output('HIT').write(1);
      // @ts-expect-error a histogram is filled
      context.output('MASS').write(1);
      // @ts-expect-error what has the input's format is bytes
      context.output('RAW').write('text');
    },
  });
  const chosen = definePayload({
    name: 'chosen',
    outputs: () => ({ OUT: { format: 'bytes' } }),
    execute(event, context) {
      context.output('OUT').write(event.bytes);
      // @ts-expect-error there is no such stream
      context.output('IN').write(event.bytes);
    },
  });
  const named = definePayload<{ readonly stream: string }>({
    name: 'named',
    outputs: ({ stream }) => ({ [stream]: { format: 'ndjson' } }),
    execute: (_event, context) => context.output(context.options.stream).write(1),
  });
  const all = [typed, chosen, named] as readonly unknown[] as readonly PayloadDefinition[];
  expect(all.map(({ name }) => name)).toEqual(['typed', 'chosen', 'named']);
});

import { expect, it } from 'vitest';
import noop from '../../../payloads/builtin/noop.ts';
import { payloadEvent, runPayload } from '../run-payload.ts';

it('writes nothing unless told to', async () => {
  expect(await runPayload(noop, [payloadEvent({ position: 1 })])).toEqual([{}]);
});

it('writes one record of the size asked for per event, the same for every event', async () => {
  const events = [payloadEvent({ position: 1 }), payloadEvent({ position: 2 })];
  const record = Uint8Array.from({ length: 300 }, (_value, index) => index & 0xff);
  expect(await runPayload(noop, events, { options: { bytes: '300' } })).toEqual([{ OUT: [record] }, { OUT: [record] }]);
});

it.each(['-1', '1.5', 'many', ''])('refuses bytes=%s', async (bytes) => {
  await expect(runPayload(noop, [], { options: { bytes } })).rejects.toThrow(/bytes/);
});

import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import digest from '../../../payloads/builtin/digest.ts';
import { payloadEvent, runPayload, TEST_GUID } from '../run-payload.ts';

it('writes exactly guid, lfn, position, size and SHA-256 of the bytes of each event', async () => {
  const bytes = Buffer.from('E 1 1 2\nU GEV MM\n');
  const events = [payloadEvent({ position: 1, bytes }), payloadEvent({ position: 2 })];
  expect(await runPayload(digest, events)).toEqual([
    {
      DIGEST: [
        {
          guid: TEST_GUID,
          lfn: 'events.hepmc3',
          position: 1,
          sizeBytes: bytes.length,
          sha256: createHash('sha256').update(bytes).digest('hex'),
        },
      ],
    },
    {
      DIGEST: [
        {
          guid: TEST_GUID,
          lfn: 'events.hepmc3',
          position: 2,
          sizeBytes: 0,
          sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
        },
      ],
    },
  ]);
});

it('refuses options, since it has none', async () => {
  await expect(runPayload(digest, [], { options: { depth: '1' } })).rejects.toThrow(/depth/);
});

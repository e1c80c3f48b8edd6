/** The example of a table that all workers share. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { silentLogger } from '../../core/log.ts';
import type { LoadedPayload } from '../../runtime/payload-loading/describe-payload.ts';
import { importPayload } from '../../runtime/payload-loading/import-payload.ts';
import { loadPayload } from '../../runtime/payload-loading/load-payload.ts';
import { preparePayload } from '../../runtime/payload-loading/payload-hooks.ts';
import { payloadEvent } from '../payloads/run-payload.ts';

const NODES = 40;
let bundleFolder: string;
let payload: LoadedPayload;

beforeAll(async () => {
  bundleFolder = mkdtempSync(join(tmpdir(), 'granule-example-'));
  const nameOrPath = fileURLToPath(new URL('../../examples/lookup-table/payload.ts', import.meta.url));
  payload = await loadPayload({ nameOrPath, options: { nodes: `${NODES}` }, bundleFolder, log: silentLogger });
});
afterAll(() => rmSync(bundleFolder, { recursive: true }));

it('prepares its map in shared memory and looks up in it', async () => {
  const shared = (await preparePayload(payload, 1, { timeoutMs: 30_000, log: silentLogger })) as {
    field: Float32Array;
  };
  expect(shared.field.buffer).toBeInstanceOf(SharedArrayBuffer);
  expect(shared.field).toHaveLength(3 * NODES ** 3);

  const { execute } = await importPayload(payload.moduleUrl);
  const particle = (px: number, pz: number) => ({ status: 1, pdgId: 13, px, py: 0, pz });
  const written: unknown[] = [];
  const context = { shared, output: () => ({ write: (value: unknown) => written.push(value) }) };
  for (const particles of [[particle(5, 0)], [particle(0, 5)], []]) {
    await execute(payloadEvent({ position: 1, decode: () => ({ particles }) }), context as never);
  }
  const [across, along, none] = written as { meanTm: number }[];
  // Across: B at the centre, 2 T · 2.65 / hypot(2.65, 1.2), over 1.1 m. Along the axis the field bends nothing.
  expect(across?.meanTm).toBeCloseTo(((2 * 2.65) / Math.hypot(2.65, 1.2)) * 1.1, 2);
  expect(along?.meanTm).toBeCloseTo(0, 2);
  expect(none).toEqual({ position: 1, particles: 0, meanTm: 0 });
});

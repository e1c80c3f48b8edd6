/** The hooks of a payload that run once per run: `prepare` before the workers start, `report` after the last merge. */
import type { ReportContext } from '../../payloads/payload.ts';
import { type LoadedPayload, payloadWhere } from './describe-payload.ts';
import { callPayload, type PayloadCallBounds } from './payload-call.ts';

/**
 * Runs `prepare`, in a thread of its own; undefined for a payload without one.
 *
 * @returns what workers get as `shared`: SharedArrayBuffers in it are shared, the rest is copied
 * @throws PAYLOAD_INIT_FAILED, or the reason of the signal
 */
export async function preparePayload(
  payload: LoadedPayload,
  taskSeed: number,
  bounds: PayloadCallBounds,
): Promise<unknown> {
  if (!payload.hasPrepare) return undefined;
  const { moduleUrl, options, source } = payload;
  return callPayload({ where: payloadWhere(source), call: { kind: 'prepare', moduleUrl, options, taskSeed } }, bounds);
}

/**
 * Runs `report`, in a thread of its own, once everything is merged; does nothing for a payload without one.
 *
 * @throws PAYLOAD_REPORT_FAILED, or the reason of the signal
 */
export async function reportPayload(
  payload: LoadedPayload,
  run: Pick<ReportContext<unknown>, 'outputs' | 'folder' | 'eventCount'>,
  bounds: PayloadCallBounds,
): Promise<void> {
  if (!payload.hasReport) return;
  const { moduleUrl, options, source } = payload;
  const { outputs, folder, eventCount } = run;
  const call = { kind: 'report', moduleUrl, options, outputs, folder, eventCount } as const;
  await callPayload({ where: payloadWhere(source), call }, bounds);
}

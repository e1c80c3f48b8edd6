/**
 * The payload of a run as it was recorded: the bundle that the run keeps, or a built-in payload; bundled again from its
 * source when the bundle is gone. Or, instead of it, another payload with the run's options.
 */
import { existsSync } from 'node:fs';
import { GranuleError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { findBuiltinPayload } from '../../payloads/builtin/builtin-payloads.ts';
import { bundlePayload } from '../payload-loading/bundle-payload.ts';
import type { LoadedPayload } from '../payload-loading/describe-payload.ts';
import { bundlePath } from '../payload-loading/load-module.ts';
import { loadBundle, loadPayload } from '../payload-loading/load-payload.ts';
import type { StartRecord } from '../run/start-record.ts';

export interface PayloadChoice {
  /** SHA-256 that the run recorded, of the code in force at its last start */
  readonly identity: string;
  readonly start: StartRecord;
  /** where the run keeps its bundles */
  readonly runBundles: string;
  /** where other bundles may be written */
  readonly scratchBundles: string;
  /** built-in name or absolute path of a payload to take instead of the run's; null for the run's */
  readonly replacement: string | null;
  /** take the place of the run's, name by name */
  readonly options: Readonly<Record<string, string>>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface ChosenPayload {
  readonly payload: LoadedPayload;
  /** it is what the run made its events by */
  readonly asRecorded: boolean;
  /** what the user should know about it; undefined when there is nothing */
  readonly notice?: string;
}

/** @throws PAYLOAD_CHANGED when the recorded code is not to be had; PAYLOAD_UNKNOWN, PAYLOAD_INVALID, PAYLOAD_OPTION_INVALID */
export async function choosePayload(choice: PayloadChoice): Promise<ChosenPayload> {
  const { identity, start, replacement, log, signal } = choice;
  const options = { ...start.payloadOptions, ...choice.options };
  const sameOptions = Object.keys(choice.options).length === 0;
  const source = replacement ?? start.payload;
  if (replacement === null && existsSync(bundlePath(choice.runBundles, identity))) {
    const request = { bundleFolder: choice.runBundles, options, log, signal };
    const payload = await loadBundle({ ...request, source, identity });
    const notice = await noticeOfChange(source, identity);
    return { payload, asRecorded: sameOptions, ...(notice === undefined ? {} : { notice }) };
  }
  const request = { nameOrPath: source, options, bundleFolder: choice.scratchBundles, log, signal };
  const payload = await loadPayload(request);
  const asRecorded = payload.identity === identity && sameOptions;
  if (replacement !== null || payload.identity === identity) return { payload, asRecorded };
  if (findBuiltinPayload(source) !== undefined) {
    const notice = `payload ${source} is not as it was in the run: granule has changed since`;
    return { payload, asRecorded: false, notice };
  }
  throw new GranuleError('PAYLOAD_CHANGED', `${source} changed since the run, and the run's bundle of it is gone`, {
    details: { before: identity, now: payload.identity },
    remedy: `to execute the event with the code of now: --payload ${source}`,
  });
}

/** Somebody who has just corrected the source would wonder why it makes no difference. */
async function noticeOfChange(source: string, identity: string): Promise<string | undefined> {
  const now = await bundlePayload(source).catch(() => undefined);
  if (now?.identity === identity) return undefined;
  const change = now === undefined ? 'cannot be built any more' : 'changed since';
  return `this is the code that the run was made with; ${source} ${change} (--payload takes another one)`;
}

/** Whether jsroot, an optional peer, is there for the tests: beside the checkout, or by `NODE_PATH`. */
import { type Jsroot, loadJsroot } from '../../../runtime/root/jsroot.ts';
import { eventDataNote, hasEventData } from '../../event-data.ts';

export const jsroot: Jsroot | undefined = await loadJsroot().catch(() => undefined);

export const canReadRoot = hasEventData && jsroot !== undefined;

/** For names of skipped tests. */
export const rootNote = jsroot === undefined ? ' (skipped: jsroot is not installed)' : eventDataNote;

/** Entry of the thread in which a payload is loaded, prepares or reports. One call, one answer, then its end. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { type ErrorCode, serialiseError } from '../../core/errors.ts';
import type { PayloadDefinition, PayloadLog } from '../../payloads/payload.ts';
import { refuseUncloneable } from './describe-payload.ts';
import { importPayload } from './import-payload.ts';
import type { FromPayloadCall, PayloadCallData, ToPayloadCall } from './payload-call.ts';
import { describeUserError } from './user-error.ts';

assert(parentPort !== null, 'this file is started as a thread');
const port = parentPort;
const { where, call } = workerData as PayloadCallData;
const send = (message: FromPayloadCall): void => port.postMessage(message);

const aborting = new AbortController();
port.on('message', (message: ToPayloadCall) => {
  if (message.kind === 'abort') aborting.abort();
});

const line =
  (level: keyof PayloadLog) =>
  (message: string, fields: object = {}): void =>
    send({ kind: 'log', level, message: String(message), fields: JSON.parse(JSON.stringify(fields)) });
const log: PayloadLog = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };

async function callUser<Result>(what: string, code: ErrorCode, run: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    throw describeUserError(error, `${where}: ${what}`, code);
  }
}

async function answer(): Promise<unknown> {
  if (call.kind === 'load') {
    const { loadPayloadModule } = await import('./load-module.ts');
    return loadPayloadModule(call, where);
  }
  const definition: PayloadDefinition = await callUser('it fails while it is loaded', 'PAYLOAD_INVALID', () =>
    importPayload(call.moduleUrl),
  );
  const signal = aborting.signal;
  if (call.kind === 'prepare') {
    const { options, taskSeed } = call;
    const prepare = () => definition.prepare?.({ options, taskSeed, signal, log });
    return callUser('prepare() failed', 'PAYLOAD_INIT_FAILED', prepare);
  }
  const { options, outputs, folder, eventCount } = call;
  const report = () => definition.report?.({ options, outputs, folder, eventCount, signal, log });
  return callUser('report() failed', 'PAYLOAD_REPORT_FAILED', report);
}

function sendResult(value: unknown): void {
  try {
    send({ kind: 'result', value });
  } catch (error) {
    refuseUncloneable(value, `${where}: what ${call.kind}() returned`, 'PAYLOAD_INIT_FAILED');
    throw error;
  }
}

try {
  sendResult(await answer());
} catch (error) {
  send({ kind: 'error', error: serialiseError(error) });
}

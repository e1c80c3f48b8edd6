/** Entry of the thread in which a payload is loaded, prepares or reports. One call, one answer, then its end. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { type ErrorCode, serialiseError } from '../../core/errors.ts';
import type { PayloadDefinition, PayloadLog } from '../../payloads/payload.ts';
import { refuseUncloneable } from './describe-payload.ts';
import { importPayload } from './import-payload.ts';
import type { FromPayloadCall, PayloadCallData, PayloadThreadData, ToPayloadCall } from './payload-call.ts';
import { describeUserError } from './user-error.ts';

assert(parentPort !== null, 'this file is started as a thread');
const port = parentPort;
const send = (message: FromPayloadCall): void => port.postMessage(message);

const aborting = new AbortController();
port.on('message', (message: ToPayloadCall) => {
  if (message.kind === 'abort') aborting.abort();
  else void serve(message.data);
});

if ((workerData as PayloadThreadData).ahead) {
  const { startBundler } = await import('./bundle-payload.ts');
  await startBundler();
}

const line =
  (level: keyof PayloadLog) =>
  (message: string, fields: object = {}): void =>
    send({ kind: 'log', level, message: String(message), fields: JSON.parse(JSON.stringify(fields)) });
const log: PayloadLog = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };

/** @param what the call that may fail, with the name of the payload */
async function callUser<Result>(what: string, code: ErrorCode, run: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    throw describeUserError(error, what, code);
  }
}

async function answer({ where, call }: PayloadCallData): Promise<unknown> {
  if (call.kind === 'load') {
    const { loadPayloadModule } = await import('./load-module.ts');
    return loadPayloadModule(call, where);
  }
  const definition: PayloadDefinition = await callUser(`${where}: it fails while it is loaded`, 'PAYLOAD_INVALID', () =>
    importPayload(call.moduleUrl),
  );
  const signal = aborting.signal;
  if (call.kind === 'prepare') {
    const { options, taskSeed } = call;
    const prepare = () => definition.prepare?.({ options, taskSeed, signal, log });
    return callUser(`${where}: prepare() failed`, 'PAYLOAD_INIT_FAILED', prepare);
  }
  const { options, outputs, folder, eventCount } = call;
  const report = () => definition.report?.({ options, outputs, folder, eventCount, signal, log });
  return callUser(`${where}: report() failed`, 'PAYLOAD_REPORT_FAILED', report);
}

function sendResult(value: unknown, { where, call }: PayloadCallData): void {
  try {
    send({ kind: 'result', value });
  } catch (error) {
    refuseUncloneable(value, `${where}: what ${call.kind}() returned`, 'PAYLOAD_INIT_FAILED');
    throw error;
  }
}

async function serve(data: PayloadCallData): Promise<void> {
  try {
    sendResult(await answer(data), data);
  } catch (error) {
    send({ kind: 'error', error: serialiseError(error) });
  }
}

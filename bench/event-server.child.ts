/** Entry of a measured event server's process: serves the one file it is told, and says where. */
import { silentLogger } from '../core/log.ts';
import { buildEventServer, listenEventServer } from '../runtime/http/event-server.ts';
import { EventIndex } from '../runtime/indexing/event-index.ts';
import { indexPath } from '../runtime/indexing/keep-index.ts';
import type { ServedFileAnswer, ServedFileRequest } from './scenarios/http.ts';

async function serve({ path, indexFolder }: ServedFileRequest): Promise<ServedFileAnswer> {
  const index = await EventIndex.open({ path: indexFolder, readOnly: false });
  const { record } = await indexPath(index, path, { acceptChange: true, checkCancelled: () => undefined });
  const paths = new Map([[record.guid, path]]);
  const app = buildEventServer({ index, paths, token: undefined, log: silentLogger });
  const url = new URL(await listenEventServer(app, { host: '127.0.0.1', port: 0, token: undefined }));
  return { port: Number(url.port), path: `/v1/files/${record.guid}/content` };
}

process.once('message', (request: ServedFileRequest) => {
  serve(request).then(
    (answer) => process.send?.(answer),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.once('disconnect', () => process.exit(0));

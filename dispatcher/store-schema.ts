/** The version of what lies in the store. A store of another version is refused: nothing is converted in passing. */
import { GranuleError } from '../core/errors.ts';
import { packRecord, unpackRecord } from './record-codec.ts';
import { STORE_KEYS, type TableStore } from './table-store.ts';

/** Raised whenever an older granule would misread what a newer one writes, or the other way round. */
const SCHEMA_VERSION = 1;

interface SchemaRecord {
  readonly version: number;
}

/** Marks a new store; throws `STORE_VERSION` for one of another version. */
export function checkSchema(store: TableStore, path: string): void {
  let present = readSchema(store);
  store.compareAndSet(
    STORE_KEYS.schema,
    (bytes) => {
      present = bytes === undefined ? undefined : unpackRecord<SchemaRecord>(bytes).version;
      return present === undefined;
    },
    packRecord({ version: SCHEMA_VERSION } satisfies SchemaRecord),
  );
  refuseOther(present ?? SCHEMA_VERSION, path);
}

/** Undefined for a store that nobody has written. */
export function readSchema(store: TableStore): number | undefined {
  const bytes = store.get(STORE_KEYS.schema);
  return bytes === undefined ? undefined : unpackRecord<SchemaRecord>(bytes).version;
}

export function refuseOther(version: number, path: string): void {
  if (version === SCHEMA_VERSION) return;
  throw new GranuleError(
    'STORE_VERSION',
    `the store in ${path} has schema version ${version}; this granule reads version ${SCHEMA_VERSION}`,
    {
      details: { path, version, expected: SCHEMA_VERSION },
      remedy: `use the granule that wrote it (a ${version > SCHEMA_VERSION ? 'newer' : 'older'} one), or another output folder`,
    },
  );
}

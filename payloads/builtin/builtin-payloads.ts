/** The built-in payloads by name: where the module of each lies, and one line on it. Loads none of them. */

export interface BuiltinPayload {
  readonly name: string;
  /** of the payload module, from the package's folder */
  readonly path: string;
  /** one line for tables and `--help` */
  readonly summary: string;
}

function builtin(name: string, path: string, summary: string): BuiltinPayload {
  return { name, path: `payloads/builtin/${path}.ts`, summary };
}

/** In the order in which they are listed to users. */
export const BUILTIN_PAYLOADS: readonly BuiltinPayload[] = [
  builtin('digest', 'digest', 'SHA-256 of each event, one JSON object a line'),
  builtin('spin', 'spin', 'burns CPU time drawn from a distribution'),
  builtin('fastsim', 'fastsim/fastsim', 'a fast detector simulation: tracker hits and calorimeter cells'),
  builtin('hepmc-filter', 'hepmc-filter', 'the HepMC events that pass simple cuts, unchanged'),
  builtin('command', 'command', 'runs a shell command per event: any language'),
  builtin('coprocess', 'coprocess', 'hands events to a long-lived program of your own by lines of JSON'),
  builtin('noop', 'noop', 'does nothing, or writes a record of a fixed size'),
];

/** Undefined for a name that no built-in payload has. */
export function findBuiltinPayload(name: string): BuiltinPayload | undefined {
  return BUILTIN_PAYLOADS.find((payload) => payload.name === name);
}

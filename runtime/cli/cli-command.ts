/** What a command is: one file in `commands/` exports one of these; `command-list.ts` names it. */
import type { Command } from 'commander';
import type { ExitCode } from '../../core/errors.ts';
import type { Surroundings } from './surroundings.ts';

/** As commander parsed them: flags by their long name in camel case. */
export interface ParsedArguments {
  readonly operands: readonly string[];
  readonly flags: Readonly<Record<string, unknown>>;
}

export interface CliCommand {
  /** Adds operands, flags and examples. Must be quick: it runs for `--help` too. */
  define(command: Command): void;
  /** Errors are thrown; the caller prints them. */
  run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode>;
}

/**
 * The command line: finds the command, loads it and nothing else, runs it, turns what it throws into a message and an
 * exit code. Never exits by itself.
 */
import { Command, CommanderError } from 'commander';
import { EXIT, type ExitCode, GranuleError } from '../../core/errors.ts';
import { suggestNames } from '../../core/nearest-name.ts';
import { GRANULE_VERSION } from '../../core/version.ts';
import { COMMANDS, type ListedCommand } from './command-list.ts';
import { describeError, errorAsJson, exitCodeOfError } from './error-report.ts';
import type { Surroundings } from './surroundings.ts';

/** @param argv arguments only, without the interpreter and the script */
export async function main(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const debug = argv.includes('--debug') || (surroundings.environment['GRANULE_DEBUG'] ?? '') !== '';
  try {
    return await dispatch(argv, surroundings);
  } catch (error) {
    const asJson = argv.includes('--json');
    surroundings.notices.write(describeError(error, debug));
    // Where stdout is what failed, the line above has said so.
    if (asJson) await surroundings.results.write(errorAsJson(error)).catch(() => false);
    return exitCodeOfError(error);
  }
}

/** The command that the arguments name, be it to run it or to show its help. */
function namedCommand(argv: readonly string[]): string | undefined {
  const words = argv.filter((word) => !word.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

async function dispatch(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const printed: string[] = [];
  const program = createProgram(printed);
  let outcome: Promise<ExitCode> | undefined;

  const name = namedCommand(argv);
  for (const listed of COMMANDS) {
    const command = addCommand(program, listed);
    if (listed.name !== name) continue;
    const loaded = await listed.load();
    loaded.define(command);
    command.action(() => {
      outcome = loaded.run({ operands: command.args, flags: command.opts() }, surroundings);
    });
  }
  if (argv.length === 0) {
    surroundings.notices.write(program.helpInformation());
    return EXIT.usage;
  }
  if (name !== undefined && !COMMANDS.some((listed) => listed.name === name)) throw unknownCommand(name);
  try {
    program.parse(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0) throw usageError(error, name);
  }
  if (printed.length > 0) await surroundings.results.write(printed.join(''));
  return outcome ?? EXIT.ok;
}

function createProgram(printed: string[]): Command {
  const program = new Command('granule');
  program
    .description('A self-contained event service: single events, not files, are the unit of work.')
    .version(GRANULE_VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [COMMAND]', 'help on one command')
    .exitOverride()
    .configureOutput({ writeOut: (text) => printed.push(text), outputError: () => undefined })
    .addHelpText(
      'after',
      [
        '',
        'First steps:',
        '  granule demo                              see it work on generated events',
        '  granule run --input events.hepmc --payload digest --out out',
        '',
        'Exit codes: 0 done, 1 internal error or full disk, 2 usage or no usable input, 3 store busy,',
        '  4 done but some events or inputs failed, 75 stopped early (run again to go on), 130 the same after Ctrl-C',
      ].join('\n'),
    );
  return program;
}

function addCommand(program: Command, listed: ListedCommand): Command {
  return program
    .command(listed.name)
    .description(listed.summary)
    .helpOption('-h, --help', 'print this help')
    .option('--debug', 'show stack traces of errors')
    .allowExcessArguments(false);
}

function unknownCommand(name: string): GranuleError {
  const names = COMMANDS.map((command) => command.name);
  return new GranuleError('USAGE', `there is no command "${name}"`, {
    details: { command: name },
    remedy: suggestNames(name, names) ?? `commands are ${names.join(', ')}`,
  });
}

/** Commander's words, with the suggestion it makes or the way to the help. */
function usageError(error: CommanderError, command: string | undefined): GranuleError {
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const near = /^\(Did you mean (.*)\?\)$/.exec(suggestion ?? '')?.[1];
  const help = `see: granule ${command === undefined ? '' : `${command} `}--help`;
  return new GranuleError('USAGE', message, { remedy: near === undefined ? help : `did you mean ${near}? ${help}` });
}

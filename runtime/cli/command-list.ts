/** The commands by name, in the order of the help. Loads none of them. */
import type { CliCommand } from './cli-command.ts';

export interface ListedCommand {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CliCommand>;
}

export const COMMANDS: readonly ListedCommand[] = [
  {
    name: 'run',
    summary: 'process event files event by event; the same command again resumes',
    load: async () => (await import('./commands/run.ts')).runCommand,
  },
  {
    name: 'plan',
    summary: 'what a run would do: inputs, counts, outputs, disk, what is left to resume',
    load: async () => (await import('./commands/plan.ts')).planCommand,
  },
  {
    name: 'demo',
    summary: 'see the whole flow work on generated events',
    load: async () => (await import('./commands/demo.ts')).demoCommand,
  },
  {
    name: 'generate',
    summary: 'write HepMC3 events of a toy generator to a file',
    load: async () => (await import('./commands/generate.ts')).generateCommand,
  },
  {
    name: 'status',
    summary: 'how many events are in which state, also while a run is on',
    load: async () => (await import('./commands/status.ts')).statusCommand,
  },
  {
    name: 'events',
    summary: 'list event ranges by state, and why they failed',
    load: async () => (await import('./commands/events.ts')).eventsCommand,
  },
  {
    name: 'show',
    summary: 'all that is known of one event: where it lies, state, attempts, why it failed, its last log lines',
    load: async () => (await import('./commands/show.ts')).showCommand,
  },
  {
    name: 'exec',
    summary: 'execute one event again by itself, in the foreground, with a debugger if need be',
    load: async () => (await import('./commands/exec.ts')).execCommand,
  },
  {
    name: 'retry',
    summary: 'put events that failed for good back, for the next run to try again',
    load: async () => (await import('./commands/retry.ts')).retryCommand,
  },
  {
    name: 'stop',
    summary: 'drain a run that is on, from outside',
    load: async () => (await import('./commands/stop.ts')).stopCommand,
  },
  {
    name: 'clean',
    summary: 'remove what a finished run no longer needs: logs, leftovers of workers, outputs of exec',
    load: async () => (await import('./commands/clean.ts')).cleanCommand,
  },
  {
    name: 'init',
    summary: 'write a small project with a payload of your own',
    load: async () => (await import('./commands/init.ts')).initCommand,
  },
  {
    name: 'config',
    summary: 'show every option of a run, its value and where it comes from',
    load: async () => (await import('./commands/config.ts')).configCommand,
  },
  {
    name: 'index',
    summary: 'index event files once for all runs; look events up; check what was indexed',
    load: async () => (await import('./commands/event-index.ts')).indexCommand,
  },
  {
    name: 'serve-events',
    summary: 'give events, their tokens and byte ranges to runs elsewhere, over HTTP',
    load: async () => (await import('./commands/serve-events.ts')).serveEventsCommand,
  },
  {
    name: 'bench',
    summary: 'measure: how busy cores are kept, what it costs, and how quick a start is',
    load: async () => (await import('./commands/bench.ts')).benchCommand,
  },
];

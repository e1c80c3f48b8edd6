/** `granule stop`: drains a run that is on, from outside. */
import type { Command } from 'commander';
import { describeThrown, EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { STOP_WAIT_MS } from '../../../core/limits.ts';
import { livenessOf, type ProcessIdentity, thisHost } from '../../../dispatcher/process-identity.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import { defineOutFlag, openRun } from '../open-run.ts';
import type { Surroundings } from '../surroundings.ts';

export const stopCommand: CliCommand = { define, run };

/** How often a stop looks whether the process has ended: there is no event for a process that is not our child. */
const LOOK_MS = 100;

function define(command: Command): void {
  defineOutFlag(command);
  command.addHelpText(
    'after',
    '\nThe run takes no new events, finishes what it executes within its grace time and exits 75; the same\n' +
      'granule run goes on later. Waits until it has ended.\n\nExample:\n  granule stop --out out',
  );
}

async function run(parsed: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  const { holder, shownFolder } = await holderOf(parsed, surroundings);
  if (holder !== undefined) {
    if (livenessOf(holder) === 'unknown') throw elsewhere(holder, shownFolder);
    tellToStop(holder, shownFolder);
    await waitForEnd(holder, shownFolder);
  }
  await surroundings.results.write(
    parsed.flags['json'] === true
      ? `${JSON.stringify({ schema: 1, stopped: holder?.pid ?? null })}\n`
      : holder === undefined
        ? `${shownFolder}: no run is on\n`
        : `${shownFolder}: process ${holder.pid} has stopped; the same granule run goes on\n`,
  );
  return EXIT.ok;
}

async function holderOf(parsed: ParsedArguments, surroundings: Surroundings) {
  await using opened = await openRun(parsed, surroundings);
  return { holder: opened.table.holder(), shownFolder: opened.shownFolder };
}

/** Its pid is that of another process here, if of any. */
function elsewhere({ host, pid }: ProcessIdentity, shownFolder: string): GranuleError {
  const where = host === thisHost ? 'in another container of this machine' : `on ${host}`;
  return new GranuleError('USAGE', `${shownFolder}: the run is ${where} (process ${pid}), not here`, {
    remedy: `run granule stop ${host === thisHost ? 'there' : where}`,
  });
}

function tellToStop({ pid }: ProcessIdentity, shownFolder: string): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (cause) {
    // It has just ended by itself.
    if (cause instanceof Error && 'code' in cause && cause.code === 'ESRCH') return;
    const reason = describeThrown(cause).message;
    throw new GranuleError('USAGE', `${shownFolder}: process ${pid} cannot be told to stop: ${reason}`, {
      remedy: 'run granule stop as the user who started the run',
      cause,
    });
  }
}

async function waitForEnd(holder: ProcessIdentity, shownFolder: string): Promise<void> {
  const untilMs = performance.now() + STOP_WAIT_MS;
  while (livenessOf(holder) === 'alive') {
    if (performance.now() > untilMs) {
      throw new GranuleError('STOPPED_EARLY', `${shownFolder}: process ${holder.pid} is still draining`, {
        remedy: 'wait for it, or send it a second SIGTERM to give up what it executes',
      });
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

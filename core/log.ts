/**
 * Logs: pino, a child logger per component. The message is a short fixed sentence, values are fields. Logs go to
 * stderr or a file, never to stdout, which carries results. Secrets in addresses are left out of every line.
 */
import { destination, type Logger as PinoLogger, pino } from 'pino';
import { withoutSecrets } from './address-secrets.ts';

const COMPONENTS = [
  'cli',
  'dispatcher',
  'pilot',
  'token-extractor',
  'token-scatterer',
  'worker-pool',
  'worker',
  'stager',
  'merger',
  'indexer',
  'prefetch',
  'event-server',
  'http',
] as const;
export type Component = (typeof COMPONENTS)[number];

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The part of a logger that components use. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface LoggerFactory {
  forComponent(component: Component, fields?: object): Logger;
}

/**
 * @param file where lines of JSON go: a path (created, appended), or a file descriptor
 */
export function createLoggerFactory(options: {
  readonly level: LogLevel;
  readonly file: string | number;
}): LoggerFactory {
  // Synchronous: a line written before a kill -9 is on disk's page cache, not in our memory.
  const sink = destination({ dest: options.file, sync: true, mkdir: true });
  // A full disk is told of by whoever cannot record results on it. That lines are missing must neither hide that nor end
  // the process, as an error without a listener would.
  sink.on('error', () => undefined);
  const lines = { write: (line: string) => sink.write(withoutSecrets(line)) };
  const root: PinoLogger = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, lines);
  return {
    forComponent: (component, fields = {}) => root.child({ component, ...fields }),
  };
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export const silentLoggers: LoggerFactory = { forComponent: () => silentLogger };

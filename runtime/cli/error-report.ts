/** How an error reaches the user: what, where and remedy on stderr; the stack only when asked for. */
import { withoutSecrets } from '../../core/address-secrets.ts';
import { AssertionFailure } from '../../core/assert.ts';
import { describeThrown, EXIT, type ExitCode, GranuleError, isGranuleError } from '../../core/errors.ts';
import { printableText } from '../../core/printable.ts';

export function exitCodeOfError(error: unknown): ExitCode {
  return isGranuleError(error) ? (error as GranuleError).exitCode : EXIT.internal;
}

/** Lines ending in a newline. */
export function describeError(error: unknown, debug: boolean): string {
  const { message: raw, stack } = describeThrown(error);
  const message = printableText(raw);
  const lines: string[] = [];
  if (isGranuleError(error)) {
    lines.push(`granule: ${message}`);
    if (error.remedy !== undefined) lines.push(`  ${error.remedy}`);
    lines.push(`  (${error.code}; docs/errors.md)`);
  } else {
    const kind = error instanceof AssertionFailure ? '' : 'unexpected error: ';
    lines.push(`granule: ${kind}${message}`);
    lines.push('  this is a bug in granule: please report it with the output of the same command and --debug');
    lines.push('  (INTERNAL; docs/errors.md)');
  }
  if (debug) lines.push(stack, ...causes(error));
  return `${withoutSecrets(lines.join('\n'))}\n`;
}

function causes(error: unknown): string[] {
  const found: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined) {
    const { message, stack } = describeThrown(cause);
    found.push(`caused by: ${stack === '' ? message : stack}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return found;
}

/** The same for programs: one JSON object on stdout in place of the result. */
export function errorAsJson(error: unknown): string {
  const known = isGranuleError(error) ? error : new GranuleError('INTERNAL', describeThrown(error).message);
  const { code, message, details, remedy } = known;
  return `${JSON.stringify({ schema: 1, error: { code, message, details, ...(remedy === undefined ? {} : { remedy }) } })}\n`;
}

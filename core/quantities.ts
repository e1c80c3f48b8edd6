/** Durations and sizes as people write them (`55m`, `10G`) and as tables show them. */

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const DURATION_PATTERN = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;

/**
 * Milliseconds of `250ms`, `90s`, `55m`, `1h30m`, `2d`. A unit is needed, so that nobody has to know which one is
 * meant. Undefined for anything else.
 */
export function tryDurationMs(text: string): number | undefined {
  const compact = text.trim();
  if (!DURATION_PATTERN.test(compact)) return undefined;
  let sumMs = 0;
  for (const [, amount, unit] of compact.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sumMs += Number(amount) * (MS_PER_UNIT[unit ?? ''] ?? 0);
  }
  return Math.round(sumMs);
}

const SIZE_EXPONENT: Readonly<Record<string, number>> = { '': 0, k: 1, m: 2, g: 3, t: 4 };

/**
 * Bytes of `4096`, `64M`, `10G`, `1.5GiB` (powers of 1024, as batch systems read them) or `10GB` (powers of 1000).
 * Undefined for anything else.
 */
export function tryByteSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const [, amount, unit = '', suffix] = match;
  const base = unit !== '' && suffix?.toLowerCase() === 'b' ? 1000 : 1024;
  const bytes = Math.round(Number(amount) * base ** (SIZE_EXPONENT[unit.toLowerCase()] ?? 0));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `850 ms`, `18.2 s`, `4m05s`, `2h03m`, `3d04h`. */
export function formatDuration(durationMs: number): string {
  if (durationMs < 999.5) return `${Math.round(durationMs)} ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d${two(Math.floor((minutes % 1440) / 60))}h`;
}

/** `512 B`, `1.5 KiB`, `10 GiB`. */
export function formatBytes(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = sizeBytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Number.isInteger(value) || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

/** `1 file`, `12 304 files`. */
export function formatNumberOf(count: number, thing: string): string {
  return `${formatCount(count)} ${thing}${count === 1 ? '' : 's'}`;
}

/** `2304`, `12 304`, `1 204 331`: whole numbers with thin groups, the same in every locale. */
export function formatCount(count: number): string {
  const digits = String(Math.round(count));
  return digits.length <= 4 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, ' ');
}

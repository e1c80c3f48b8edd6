/** Suggestions for a mistyped name: what a message offers beside "unknown". */

/** Edit distance in which a swap of two neighbours counts as one step (optimal string alignment). */
function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      let steps = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      if (row > 1 && column > 1 && swapped) steps = Math.min(steps, (beforeLast[column - 2] ?? 0) + 1);
      current.push(steps);
    }
    beforeLast = last;
    last = current;
  }
  return last[right.length] ?? 0;
}

/** Spelling differences that people do not see: case, dashes, underscores. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, '');
}

/**
 * The candidates that `name` was probably meant to be, best first, at most three; none when nothing is near (more than
 * a third of the letters differ).
 */
export function nearestNames(name: string, candidates: Iterable<string>): readonly string[] {
  const wanted = plain(name);
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of candidates) {
    const known = plain(candidate);
    const begins = wanted.length >= 3 && known.startsWith(wanted);
    const distance = begins ? 0.5 : editDistance(wanted, known);
    if (distance <= Math.max(1, Math.floor(Math.max(wanted.length, known.length) / 3))) {
      near.push({ candidate, distance });
    }
  }
  near.sort((left, right) => left.distance - right.distance || left.candidate.localeCompare(right.candidate));
  return near.slice(0, 3).map((entry) => entry.candidate);
}

/** `did you mean "a" or "b"?`, or undefined when nothing is near. */
export function suggestNames(name: string, candidates: Iterable<string>): string | undefined {
  const near = nearestNames(name, candidates).map((candidate) => `"${candidate}"`);
  return near.length === 0 ? undefined : `did you mean ${near.join(' or ')}?`;
}

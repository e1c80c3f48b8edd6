import { afterEach, expect, it } from 'vitest';
import { ThreadCpuClock } from '../../../runtime/worker/thread-cpu-clock.ts';

const clock = new ThreadCpuClock();
afterEach(() => clock.close());

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

it('counts what a thread has computed since it last looked, however short that was', () => {
  const before = clock.nowMs();
  for (let turn = 0; turn < 20; turn += 1) {
    const turnBefore = clock.nowMs();
    spin(0.2);
    expect(clock.nowMs()).toBeGreaterThan(turnBefore);
  }
  expect(clock.nowMs()).toBeGreaterThan(before);
});

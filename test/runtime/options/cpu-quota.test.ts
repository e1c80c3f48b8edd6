import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cgroupCpuQuota, coreCount } from '../../../runtime/options/cpu-quota.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'granule-quota-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

describe('the CPU quota', () => {
  it('is none where there are no cgroups', () => {
    expect(cgroupCpuQuota(root)).toBeUndefined();
    expect(coreCount(root)).toBe(availableParallelism());
  });

  it('is the smallest of a version 2 cgroup and those above it', () => {
    write('proc/self/cgroup', '0::/batch/job\n');
    write('sys/fs/cgroup/batch/job/cpu.max', 'max 100000\n');
    write('sys/fs/cgroup/batch/cpu.max', '150000 100000\n');
    expect(cgroupCpuQuota(root)).toBe(1.5);
    expect(coreCount(root)).toBe(Math.min(2, availableParallelism()));
  });

  it('is found at the mount when the path is that of the host', () => {
    write('proc/self/cgroup', '0::/somewhere/outside\n');
    write('sys/fs/cgroup/cpu.max', '50000 100000\n');
    expect(cgroupCpuQuota(root)).toBe(0.5);
    expect(coreCount(root)).toBe(1);
  });

  it('is read from version 1 controllers', () => {
    write('proc/self/cgroup', '5:memory:/m\n4:cpu,cpuacct:/c\n');
    write('sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us', '300000\n');
    write('sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us', '100000\n');
    write('sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us', '-1\n');
    expect(cgroupCpuQuota(root)).toBe(3);
  });
});

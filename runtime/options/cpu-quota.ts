/**
 * How many CPUs this process may really use: the smallest of what the affinity mask allows and what the quotas of its
 * cgroup and all cgroups above allow (Linux kernel documentation, admin-guide/cgroup-v2, `cpu.max`, and
 * scheduler/sched-bwc, `cpu.cfs_quota_us`).
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return undefined; // not Linux, or this cgroup has no such controller: there is no quota to find here
  }
}

/** CPUs of `cpu.max`: `200000 100000` is 2, `max 100000` no limit. */
function quotaOfV2(folder: string): number | undefined {
  const [quota, period] = tryRead(join(folder, 'cpu.max'))?.split(' ') ?? [];
  return quota === undefined || quota === 'max' ? undefined : Number(quota) / Number(period ?? 100_000);
}

function quotaOfV1(folder: string): number | undefined {
  const quota = Number(tryRead(join(folder, 'cpu.cfs_quota_us')) ?? '-1');
  const period = Number(tryRead(join(folder, 'cpu.cfs_period_us')) ?? '100000');
  return quota > 0 && period > 0 ? quota / period : undefined;
}

/** The folder of a cgroup and all above it, up to the mount. A path from outside a container may not exist inside. */
function* foldersUpwards(mount: string, cgroup: string): Generator<string> {
  let path = cgroup;
  while (path !== '/' && path !== '.') {
    yield join(mount, path);
    path = dirname(path);
  }
  yield mount;
}

/**
 * The smallest quota in CPUs (a fraction is possible), undefined when there is none.
 *
 * @param root where `/proc` and `/sys` are found; `/` outside of tests
 */
export function cgroupCpuQuota(root: string): number | undefined {
  const quotas: (number | undefined)[] = [];
  for (const line of tryRead(join(root, 'proc/self/cgroup'))?.split('\n') ?? []) {
    const [, controllers = '', cgroup = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === '') {
      for (const folder of foldersUpwards(join(root, 'sys/fs/cgroup'), cgroup)) quotas.push(quotaOfV2(folder));
    } else if (controllers.split(',').includes('cpu')) {
      for (const mount of ['sys/fs/cgroup/cpu', 'sys/fs/cgroup/cpu,cpuacct']) {
        for (const folder of foldersUpwards(join(root, mount), cgroup)) quotas.push(quotaOfV1(folder));
      }
    }
  }
  const found = quotas.filter((quota): quota is number => quota !== undefined && Number.isFinite(quota));
  return found.length === 0 ? undefined : Math.min(...found);
}

/** Workers by default: at least one; a quota of 1.5 CPUs gives two, so that none of it lies idle. */
export function coreCount(root = '/'): number {
  const quota = cgroupCpuQuota(root) ?? Number.POSITIVE_INFINITY;
  return Math.max(1, Math.min(availableParallelism(), Math.ceil(quota)));
}

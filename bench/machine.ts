/** The machine that numbers were measured on, as every result and report states it. */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, hostname, release, totalmem } from 'node:os';
import { GRANULE_VERSION } from '../core/version.ts';
import { cgroupCpuQuota } from '../runtime/options/cpu-quota.ts';

export interface Machine {
  readonly host: string;
  readonly cpuModel: string;
  /** logical CPUs this process may use */
  readonly cores: number;
  /** CPUs that a cgroup allows; null for no quota */
  readonly cpuQuota: number | null;
  readonly memoryBytes: number;
  /** of the first core; null where the kernel does not tell */
  readonly cpuGovernor: string | null;
  readonly kernel: string;
  readonly node: string;
  readonly granule: string;
  /** file systems of the scratch folders */
  readonly fileSystems: { readonly memory: string | null; readonly disk: string };
}

export function describeMachine(folders: { readonly memory: string | null; readonly disk: string }): Machine {
  return {
    host: hostname(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    cpuQuota: cgroupCpuQuota('/') ?? null,
    memoryBytes: totalmem(),
    cpuGovernor: tryRead('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor')?.trim() ?? null,
    kernel: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    granule: GRANULE_VERSION,
    fileSystems: {
      memory: folders.memory === null ? null : fileSystemName(folders.memory),
      disk: fileSystemName(folders.disk),
    },
  };
}

/** Magic numbers of statfs(2). */
const FILE_SYSTEM_NAMES: Readonly<Record<number, string>> = {
  16914836: 'tmpfs',
  2240043254: 'ramfs',
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  2035054128: 'overlayfs',
  26985: 'nfs',
  198183888: 'lustre',
  1196443219: 'gpfs',
  1702057286: 'fuse',
};

function fileSystemName(folder: string): string {
  const { type } = statfsSync(folder);
  return FILE_SYSTEM_NAMES[type] ?? `0x${type.toString(16)}`;
}

/** True for file systems that keep their data in memory. */
export function isMemoryFileSystem(folder: string): boolean {
  return existsSync(folder) && ['tmpfs', 'ramfs'].includes(fileSystemName(folder));
}

/** The fields of a machine as rows of a table. */
export function machineRows(machine: Machine): readonly (readonly [string, string])[] {
  const { fileSystems } = machine;
  return [
    ['host', machine.host],
    ['CPU', machine.cpuModel],
    ['cores', machine.cpuQuota === null ? `${machine.cores}` : `${machine.cores}, quota ${machine.cpuQuota}`],
    ['frequency governor', machine.cpuGovernor ?? 'not told'],
    ['memory', `${(machine.memoryBytes / 1024 ** 3).toFixed(1)} GiB`],
    ['kernel', machine.kernel],
    ['Node', machine.node],
    ['granule', machine.granule],
    ['file systems', `${fileSystems.memory ?? 'no'} (memory), ${fileSystems.disk} (disk)`],
  ];
}

/** Text of a file of the kernel; undefined where there is none. */
export function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // another operating system, or a kernel without it
  }
}

/** Folders for temporary files, and what killed processes leave of them. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identifyProcess, type ProcessIdentity } from '../../dispatcher/process-identity.ts';
import { removeAbandoned, TemporaryFolder } from '../../runtime/temporary-folder.ts';
import { granule } from './cli/program.ts';
import { echoing, RunFolder } from './whole-run.ts';

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'granule-parent-'));
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

function identityOfDead(): ProcessIdentity {
  const { pid } = spawnSync('true');
  return { ...identifyProcess(pid), startTicks: 1 };
}

/** A folder as a process leaves it, with a socket's stand-in in it. */
function folderOf(name: string, owner: unknown): string {
  const path = join(parent, name);
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(join(path, 'workers'), '');
  if (owner !== undefined) writeFileSync(join(path, 'owner'), JSON.stringify(owner));
  return path;
}

describe('temporary folders', () => {
  it('can be entered by this user only, name their owner and go when they are disposed of', async () => {
    let path: string;
    {
      await using folder = await TemporaryFolder.create();
      path = folder.path;
      expect(readdirSync(path)).toEqual(['owner']);
      await removeAbandoned(tmpdir());
      expect(existsSync(path)).toBe(true);
    }
    expect(existsSync(path)).toBe(false);
  });

  it('are removed when their owner is dead', async () => {
    folderOf('granule-abc123', identityOfDead());
    folderOf('granule-ABC456', { ...identifyProcess(process.pid), bootID: 'an earlier one' });
    await removeAbandoned(parent);
    expect(readdirSync(parent)).toEqual([]);
  });

  it('stay when the owner lives, or nothing is known of it, or they are somebody else’s', async () => {
    const dead = identityOfDead();
    folderOf('granule-aaaaa1', identifyProcess(process.pid));
    folderOf('granule-aaaaa2', { ...dead, host: 'elsewhere' });
    folderOf('granule-aaaaa3', undefined);
    folderOf('granule-aaaaa4', 'no identity');
    chmodSync(folderOf('granule-aaaaa5', dead), 0o755);
    folderOf('granule-results', dead);
    const target = folderOf('kept', dead);
    symlinkSync(target, join(parent, 'granule-aaaaa6'));
    const tricked = folderOf('granule-aaaaa7', undefined);
    symlinkSync(join(target, 'owner'), join(tricked, 'owner'));
    const before = readdirSync(parent);
    await removeAbandoned(parent);
    expect(readdirSync(parent)).toEqual(before);
    expect(readdirSync(target)).toEqual(['owner', 'workers']);
  });

  it('of a run that was killed are removed by the next start, whichever it is', async () => {
    const run = new RunFolder(echoing(`if (n === 5) process.kill(process.pid, 'SIGKILL');`), 10);
    try {
      const { inputPath, payloadPath, outPath } = run;
      const args = ['run', '--input', inputPath, '--payload', payloadPath, '--quiet'];
      const environment = { TMPDIR: parent };
      expect(await granule([...args, '--out', outPath], { environment })).toMatchObject({ signal: 'SIGKILL' });
      const left = readdirSync(parent);
      expect(left).not.toEqual([]);
      run.setPayload(echoing(''));
      const other = ['--out', join(run.path, 'other')];
      expect(await granule([...args, ...other], { environment })).toMatchObject({ code: 0 });
      expect(readdirSync(parent)).toEqual([]);
    } finally {
      run.remove();
    }
  });
});

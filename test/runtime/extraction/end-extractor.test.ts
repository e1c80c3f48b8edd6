import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { moduleForNode } from '../../module-for-node.ts';

/** With these the C library fills freed memory and keeps none per thread: a use after free shows. Others ignore them. */
const STRICT_MEMORY = { MALLOC_PERTURB_: '165', GLIBC_TUNABLES: 'glibc.malloc.tcache_count=0' };

it('a token extractor that is ended has delivered all it sent, and takes no memory away that ZeroMQ sends from', () => {
  const program = fileURLToPath(moduleForNode('test/runtime/extraction/end-extractor.child.ts'));
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [program], {
    encoding: 'utf8',
    env: { ...process.env, ...STRICT_MEMORY },
  });
  expect({ status, signal, stdout, stderr }).toEqual({ status: 0, signal: null, stdout: 'all refused', stderr: '' });
});

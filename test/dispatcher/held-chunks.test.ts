import fc from 'fast-check';
import { expect, it } from 'vitest';
import { HeldChunks } from '../../dispatcher/held-chunks.ts';

it('held chunks are counted as a plain map would count them', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(4))), (steps) => {
      const held = new HeldChunks();
      const model = new Map<number, number>();
      for (const [adds, chunk] of steps) {
        const count = model.get(chunk) ?? 0;
        if (!adds && count === 0) continue;
        if (adds) held.add(chunk);
        else held.remove(chunk);
        model.set(chunk, count + (adds ? 1 : -1));
        const chunks = [...model].flatMap(([index, number]) => (number > 0 ? [index] : [])).sort((a, b) => a - b);
        expect(held.chunks()).toEqual(chunks);
        expect(held.total).toBe([...model.values()].reduce((sum, number) => sum + number, 0));
        for (let index = 0; index < 5; index += 1) expect(held.has(index)).toBe(chunks.includes(index));
      }
    }),
  );
});

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RangeToken } from '../../../core/messages.ts';
import { BoardFile } from '../../../runtime/board/board-file.ts';
import { ExecutionBoard } from '../../../runtime/board/execution-board.ts';
import type { HeldToken } from '../../../runtime/scattering/held-tokens.ts';
import { ServedWorker } from '../../../runtime/scattering/served-worker.ts';

function held(rangeIndex: number, copy = false): HeldToken {
  return { token: { rangeIndex } as RangeToken, bytes: undefined, copy };
}

function indices(tokens: readonly HeldToken[]): number[] {
  return tokens.map(({ token }) => token.rangeIndex);
}

function setUp(): { readonly worker: ServedWorker; readonly board: ExecutionBoard } {
  const board = ExecutionBoard.forNewSession();
  return { board, worker: new ServedWorker('peer', { workerIndex: 0, board, takes: 'all' }) };
}

describe('a worker as the scatterer serves it', () => {
  it('has two batches at a time, and waits when it has finished both', () => {
    const { worker } = setUp();
    expect([worker.isWaiting, worker.hasRoom]).toEqual([false, false]);
    worker.noteAsk(0);
    expect([worker.isWaiting, worker.hasRoom]).toEqual([true, true]);
    expect(worker.give([held(0)])).toBe(1);
    expect([worker.isWaiting, worker.hasRoom]).toEqual([false, true]);
    expect(worker.give([held(1), held(2)])).toBe(2);
    expect(worker.hasRoom).toBe(false);
    worker.noteAsk(1);
    expect([worker.isWaiting, worker.hasRoom]).toEqual([false, true]);
    worker.noteAsk(2);
    expect(worker.isWaiting).toBe(true);
  });

  it('has one batch at a time where nothing can be taken back from it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'granule-served-'));
    const board = new BoardFile(join(folder, 'board'));
    try {
      const worker = new ServedWorker('peer', { workerIndex: 0, board, takes: 'all' });
      worker.noteAsk(0);
      worker.give([held(0), held(1)]);
      expect([worker.hasRoom, worker.spareCount]).toEqual([false, 0]);
      expect(worker.takeBack(2)).toEqual([]);
      worker.noteAsk(1);
      expect(worker.isWaiting).toBe(true);
    } finally {
      board.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('gives back from its next batch first, then from the end of the one it executes', () => {
    const { worker, board } = setUp();
    worker.noteAsk(0);
    worker.give([0, 1, 2, 3].map((index) => held(index)));
    worker.give([4, 5].map((index) => held(index)));
    board.beginBatch(1);
    board.claim();
    expect(indices(worker.takeBack(1))).toEqual([5]);
    expect(indices(worker.takeBack(3))).toEqual([2, 3, 4]);
    expect(indices(worker.takeBack(9))).toEqual([1]);
    expect(indices(worker.held.values())).toEqual([0]);
    board.beginBatch(2);
    expect(board.claim()).toBe(-1);
  });

  it('lets others have what waits behind a token, not one that it can begin at once', () => {
    const { worker, board } = setUp();
    worker.noteAsk(0);
    worker.give([held(0), held(1)]);
    expect(worker.spareCount).toBe(1);
    worker.give([held(2)]);
    expect(worker.spareCount).toBe(2);
    board.beginBatch(1);
    board.claim();
    expect(worker.spareCount).toBe(2);
    board.claim();
    expect(worker.spareCount).toBe(1);
  });

  it('keeps a copy of what another worker executes', () => {
    const { worker } = setUp();
    worker.noteAsk(0);
    worker.give([held(7, true)]);
    worker.give([held(8)]);
    expect(worker.spareCount).toBe(1);
    expect(indices(worker.takeBack(9))).toEqual([8]);
  });

  it('is told to close its files or to end only when it has no batch, and can be given nothing until it asks', () => {
    const { worker } = setUp();
    worker.noteAsk(0);
    worker.give([held(0)]);
    expect(() => worker.noteTold()).toThrow(/without a batch/);
    worker.noteAsk(1);
    worker.noteTold();
    expect([worker.isWaiting, worker.hasRoom]).toEqual([false, false]);
    worker.noteAsk(1);
    expect(worker.isWaiting).toBe(true);
  });

  it('is told of each file once', () => {
    const { worker } = setUp();
    expect([3, 4, 3].map((fileIndex) => worker.learnsFile(fileIndex))).toEqual([true, true, false]);
  });
});

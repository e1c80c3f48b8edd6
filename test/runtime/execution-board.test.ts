import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { ExecutionBoard } from '../../runtime/execution-board.ts';

describe('the execution board', () => {
  it('hands each token of a batch to the worker once, in order', () => {
    const board = new ExecutionBoard();
    board.openBatch(3);
    expect([board.claim(), board.claim(), board.claim(), board.claim()]).toEqual([0, 1, 2, -1]);
  });

  it('gives the supervisor only tokens that are not claimed, from the end', () => {
    const board = new ExecutionBoard();
    board.openBatch(5);
    board.claim();
    board.claim();
    expect(board.unclaimed()).toBe(3);
    expect(board.takeBack(2)).toEqual({ end: 3, taken: 2 });
    expect(board.claim()).toBe(2);
    expect(board.takeBack(10)).toEqual({ end: 3, taken: 0 });
    expect(board.claim()).toBe(-1);
  });

  it('never lets both sides have the same token while they race', async () => {
    const board = new ExecutionBoard();
    const claimed = new SharedArrayBuffer(4);
    const count = 30_000;
    board.openBatch(count);
    const worker = new Worker(
      `const { workerData } = require('node:worker_threads');
       const words = new Int32Array(workerData.memory, 0, 6);
       const sum = new Int32Array(workerData.claimed);
       for (;;) {
         const word = Atomics.load(words, 0);
         if ((word & 0xffff) >= word >>> 16) break;
         if (Atomics.compareExchange(words, 0, word, word + 1) === word) Atomics.add(sum, 0, 1);
       }`,
      { eval: true, workerData: { memory: board.memory, claimed } },
    );
    let taken = 0;
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    let over = false;
    void exited.then(() => {
      over = true;
    });
    while (!over) {
      taken += board.takeBack(3).taken;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken + (new Int32Array(claimed)[0] ?? 0)).toBe(count);
  });

  it('shows what is in execution, and nothing in between', () => {
    const board = new ExecutionBoard();
    expect(board.inExecution()).toBeUndefined();
    board.begin(7, 12);
    expect(board.inExecution()).toMatchObject({ rangeIndex: 7, position: 12 });
    expect(board.runningMs()).toBeGreaterThanOrEqual(0);
    board.end();
    expect(board.inExecution()).toBeUndefined();
  });

  it('tells two executions of the same event apart', () => {
    const board = new ExecutionBoard();
    board.begin(7, 12);
    const first = board.inExecution();
    board.noteAborting();
    expect(first !== undefined && board.isAborting(first)).toBe(true);
    board.end();
    board.begin(7, 12);
    const second = board.inExecution();
    expect(second !== undefined && board.isAborting(second)).toBe(false);
  });

  it('grants the end of a thread only while it runs foreign code', () => {
    const board = ExecutionBoard.forNewSession();
    expect(board.tryStart()).toBe(true);
    expect(board.tryEnterWaiting()).toBe(true);
    expect(board.doom()).toBe(false);
    board.enterRunning();
    expect(board.doom()).toBe(true);
    expect(board.tryEnterWaiting()).toBe(false);
    expect(board.doom()).toBe(false);
  });

  it('lets a thread that loads its modules end by itself', () => {
    const board = ExecutionBoard.forNewSession();
    expect(board.doom()).toBe(false);
    expect(board.tryStart()).toBe(false);
  });
});

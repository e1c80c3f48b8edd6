import { describe, expect, it } from 'vitest';
import { ExecutionBoard } from '../../../runtime/board/execution-board.ts';

describe('the execution board', () => {
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

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

  it('grants the end of a thread that waits in its event loop only to whoever ends idle ones, too', async () => {
    const board = ExecutionBoard.forNewSession();
    board.tryStart();
    board.tryEnterWaiting();
    expect(board.doom(true)).toBe(false);
    let hasCome = false;
    const noteArrival = (): void => {
      hasCome = true;
    };
    void board.arrivals.moreThan(0).then(noteArrival);
    expect(board.doom()).toBe(false);
    expect(board.doom(true)).toBe(true);
    // From now on it calls nothing native any more.
    board.noteSent();
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(hasCome).toBe(false);
  });

  it('grants no end while something native is called, which a doomed thread does not', () => {
    const board = ExecutionBoard.forNewSession();
    board.tryStart();
    const granted: boolean[] = [];
    board.callNative(() => granted.push(board.doom(true)));
    granted.push(board.doom());
    board.callNative(() => granted.push(false));
    expect(granted).toEqual([false, true]);
  });

  it('shows whether a worker goes on that has something to do between two events', async () => {
    const board = ExecutionBoard.forNewSession();
    expect(board.stepsBetweenEvents()).toBeUndefined();
    board.tryStart();
    board.beginHook('initialize');
    expect(board.stepsBetweenEvents()).toBeUndefined();
    board.end();
    const started = board.stepsBetweenEvents();
    expect(started).toBeDefined();
    board.tryEnterWaiting();
    expect(board.stepsBetweenEvents()).toBeUndefined();
    board.noteSent();
    expect(board.stepsBetweenEvents()).toBe(started);
    await board.arrivals.moreThan(0);
    board.enterRunning();
    expect(board.stepsBetweenEvents()).not.toBe(started);
    board.begin(7, 12);
    expect(board.stepsBetweenEvents()).toBeUndefined();
    board.end();
    expect([board.inExecution(), board.lastBegun()?.rangeIndex]).toEqual([undefined, 7]);
  });

  it('lets a thread that loads its modules end by itself', () => {
    const board = ExecutionBoard.forNewSession();
    expect(board.doom()).toBe(false);
    expect(board.tryStart()).toBe(false);
  });
});

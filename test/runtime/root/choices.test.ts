import { describe, expect, it } from 'vitest';
import type { FileRecord, RootTree } from '../../../core/file-index.ts';
import { parseGuid } from '../../../core/ids.ts';
import { chooseBranches } from '../../../runtime/root/branch-choice.ts';
import type { RootBranch } from '../../../runtime/root/jsroot.ts';
import { findNumberBranches } from '../../../runtime/root/number-branches.ts';
import { chooseTree, recordWithTrees } from '../../../runtime/root/tree-choice.ts';

const BARE: FileRecord = {
  guid: parseGuid('00000000-0000-8000-8000-000000000001'),
  lfn: 'a.root',
  format: 'root',
  compression: 'none',
  sizeBytes: 1,
  sha256: '',
  eventCount: 0,
  runSegments: [],
};
const events: RootTree = { name: 'analysis/events', entryCount: 10 };
const runs: RootTree = { name: 'runs', entryCount: 2 };

describe('the tree of a ROOT file', () => {
  it('is the only one, or the one that is named', () => {
    const one = recordWithTrees(BARE, [events]);
    expect(one).toMatchObject({ eventCount: 10, trees: { chosen: 'analysis/events' } });
    expect(chooseTree(one, null)).toEqual(one);
    const two = recordWithTrees(BARE, [events, runs]);
    expect(two).toMatchObject({ eventCount: 0, trees: { chosen: null } });
    expect(chooseTree(two, 'runs')).toMatchObject({ eventCount: 2, trees: { chosen: 'runs', all: [events, runs] } });
    expect(chooseTree(chooseTree(two, 'runs'), 'analysis/events')).toMatchObject({ eventCount: 10 });
  });

  it('is asked for when there are several, with a list of them', () => {
    const choose = (name: string | null) => () => chooseTree(recordWithTrees(BARE, [events, runs]), name);
    expect(choose(null)).toThrow(
      expect.objectContaining({
        code: 'INPUT_TREE_UNKNOWN',
        message: 'a.root has several trees and none is named: analysis/events (10 entries), runs (2 entries)',
        remedy: 'name the tree: --tree analysis/events',
      }),
    );
    expect(choose('run')).toThrow(expect.objectContaining({ remedy: 'did you mean "runs"?' }));
  });

  it('is missed in a file without trees, and in one without entries', () => {
    expect(() => chooseTree(recordWithTrees(BARE, []), null)).toThrow(expect.objectContaining({ code: 'INPUT_EMPTY' }));
    const empty = recordWithTrees(BARE, [{ name: 't', entryCount: 0 }]);
    expect(() => chooseTree(empty, null)).toThrow('a.root: tree t has no entry');
  });

  it('does not concern other formats', () => {
    const { trees: _, ...record } = { ...BARE, format: 'lhe' as const, trees: undefined };
    expect(chooseTree(record, 'events')).toBe(record);
  });
});

function branch(fName: string, parts: readonly RootBranch[] = []): RootBranch {
  const baskets = { fWriteBasket: 0, fBasketEntry: [], fBaskets: { arr: [] } };
  return { fName, fEntries: 1, fTotBytes: 1, ...baskets, fBranches: { arr: parts } };
}

const BRANCHES = [
  branch('run'),
  branch('nMuon'),
  branch('Muon_pt'),
  branch('jets', [branch('jets.pt'), branch('jets.eta')]),
];

function chosen(...patterns: string[]): string[] {
  return chooseBranches(BRANCHES, patterns, 'a.root, tree events').map(({ fName }) => fName);
}

describe('the branches of a tree', () => {
  it.each([
    [[], ['run', 'nMuon', 'Muon_pt', 'jets']],
    [
      ['Muon_*', 'nMuon'],
      ['nMuon', 'Muon_pt'],
    ],
    [['?un'], ['run']],
    [['!*Muon*'], ['run', 'jets']],
    [['jets.pt'], ['jets.pt']],
    [
      ['*', '!jets.pt'],
      ['run', 'nMuon', 'Muon_pt', 'jets.eta'],
    ],
  ])('chosen by %j', (patterns, names) => {
    expect(chosen(...patterns)).toEqual(names);
  });

  it('are named in full when a pattern matches none, the nearest first', () => {
    expect(() => chosen('Moun_pt')).toThrow(
      expect.objectContaining({
        code: 'INPUT_TREE_UNKNOWN',
        message: 'a.root, tree events: there is no branch Moun_pt',
        remedy: 'did you mean "Muon_pt"?',
      }),
    );
    expect(() => chosen('quark*')).toThrow(
      expect.objectContaining({ remedy: 'branches are run, nMuon, Muon_pt, jets, jets.pt, jets.eta' }),
    );
    expect(() => chosen('run', '!run')).toThrow('--branches run,!run leaves no branch to read');
  });
});

describe('the branches of run and event numbers', () => {
  const scalar = (fName: string, more: object = {}): RootBranch =>
    ({
      fName,
      fBranches: { arr: [] },
      fLeaves: { arr: [{ fLen: 1, fLeafCount: null, ...more }] },
    }) as unknown as RootBranch;
  const found = (...branches: RootBranch[]): string[] | undefined => {
    const pair = findNumberBranches(branches);
    return pair === undefined ? undefined : [pair.run.fName, pair.eventNumber.fName];
  };

  it('have one of the usual names', () => {
    expect(found(scalar('run'), scalar('luminosityBlock'), scalar('event'))).toEqual(['run', 'event']);
    expect(found(scalar('eventNumber'), scalar('runNumber'))).toEqual(['runNumber', 'eventNumber']);
    expect(found(scalar('RunNo'), scalar('evt'))).toEqual(['RunNo', 'evt']);
    expect(found(scalar('run'))).toBe(undefined);
    expect(found(scalar('HLT_run'), scalar('event'))).toBe(undefined);
  });

  it('are scalar, and one of each', () => {
    expect(found(scalar('run', { fLen: 2 }), scalar('event'))).toBe(undefined);
    expect(found(scalar('run'), scalar('event', { fLeafCount: { fName: 'n' } }))).toBe(undefined);
    expect(found(scalar('run'), scalar('Run'), scalar('event'))).toBe(undefined);
  });
});

/** The life of a range: single transitions, and chunks of ranges as bytes. */
import { RANGES_PER_CHUNK } from '../../core/limits.ts';
import { Chunk } from '../../dispatcher/chunk.ts';
import { decodeChunk, encodeChunk } from '../../dispatcher/chunk-codec.ts';
import { attemptOf, SUBMITTED } from '../../dispatcher/range-word.ts';
import { RANGE_ACTIONS, transition } from '../../dispatcher/transitions.ts';
import { plainSuite } from './micro-suite.ts';

const LIMITS = { failuresMax: 3, lossesMax: 10 };

export const suite = plainSuite('state transitions', () => {
  const merged = new Chunk(0);
  merged.words.fill(lifeOf(SUBMITTED));
  merged.lengths.fill(100);
  const bytes = Uint8Array.from(encodeChunk(merged));
  return [
    {
      name: 'send, finish, merge',
      count: 3000,
      run: () => {
        for (let range = 0; range < 1000; range += 1) lifeOf(SUBMITTED);
      },
    },
    { name: 'encode a chunk of merged ranges', count: RANGES_PER_CHUNK, run: () => void encodeChunk(merged) },
    { name: 'decode it', count: RANGES_PER_CHUNK, run: () => void decodeChunk(0, bytes) },
  ];
});

function lifeOf(word: number): number {
  const sent = transition(word, RANGE_ACTIONS.send, 0, LIMITS);
  const finished = transition(sent, RANGE_ACTIONS.finish, attemptOf(sent), LIMITS);
  return transition(finished, RANGE_ACTIONS.merge, attemptOf(finished), LIMITS);
}

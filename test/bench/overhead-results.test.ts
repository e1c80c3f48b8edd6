import { describe, expect, it } from 'vitest';
import { type PeerRates, type Place, peerValues, type Sample } from '../../bench/overhead-results.ts';

function samples(...rates: number[]): Sample[] {
  return rates.map((perSecond) => ({ perSecond, mainMicros: Number.NaN, allMicros: Number.NaN }));
}

const PLACE: Place = {
  name: 'memory',
  samples: {
    bareLoop: samples(400, 400, 400),
    granule: samples(100, 200, 300),
    withMerge: samples(90, 180, 270),
    piscina: samples(50, 50, 300),
  },
};

describe('ratios to other tools', () => {
  it("are formed within each round for piscina, and with granule's median for tools measured afterwards", () => {
    const peers: PeerRates = { bullmq: [10, 20, 50], dask: [40], parallel: null };
    expect(peerValues(PLACE, peers).peers).toEqual({
      // 100 / 50, 200 / 50 and 300 / 300; the medians alone would say 200 / 50.
      piscina: { perSecond: 50, ratio: 2 },
      bullmq: { perSecond: 20, ratio: 10 },
      dask: { perSecond: 40, ratio: 5 },
      parallel: null,
    });
  });
});

/** The most recently used unpacked blocks, by file and block number. */
export class BlockCache<Block> {
  readonly #blocksMax: number;
  readonly #blocks = new Map<number, Block>();

  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  get(fileID: number, block: number, load: () => Block): Block {
    // Files have at most 2^32 blocks, and there are fewer than 2^21 of them.
    const key = fileID * 2 ** 32 + block;
    const cached = this.#blocks.get(key);
    if (cached !== undefined) {
      this.#blocks.delete(key);
      this.#blocks.set(key, cached);
      return cached;
    }
    const loaded = load();
    this.#blocks.set(key, loaded);
    if (this.#blocks.size > this.#blocksMax) {
      for (const oldest of this.#blocks.keys()) {
        this.#blocks.delete(oldest);
        break;
      }
    }
    return loaded;
  }
}

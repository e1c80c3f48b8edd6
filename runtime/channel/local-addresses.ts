/** Where the channels of one node are: addresses in a folder that only this user can enter. */
import { join } from 'node:path';
import { TemporaryFolder } from '../temporary-folder.ts';

export class LocalAddresses {
  readonly #folder: TemporaryFolder;

  private constructor(folder: TemporaryFolder) {
    this.#folder = folder;
  }

  static async create(): Promise<LocalAddresses> {
    return new LocalAddresses(await TemporaryFolder.create());
  }

  /** @param name short; one channel each */
  address(name: string): string {
    return `ipc://${join(this.#folder.path, name)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

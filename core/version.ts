/** The version of granule, as package.json has it (a test keeps them equal); written into manifests and stores. */
export const GRANULE_VERSION = '0.1.0';

#!/usr/bin/env node
/** The program `granule`. Loads nothing itself, so that what is said here of loading holds for all of it. */
import * as nodeModule from 'node:module';
import { processSurroundings } from './surroundings.ts';

// From Node 22.1 on compiled code is kept from one start to the next.
const { enableCompileCache } = nodeModule as { readonly enableCompileCache?: () => unknown };
enableCompileCache?.();

const surroundings = processSurroundings();
const argv = process.argv.slice(2);
// Stacks then name the sources.
if (surroundings.environment['GRANULE_DEBUG'] || argv.includes('--debug')) process.setSourceMapsEnabled(true);

const { main } = await import('./main.ts');
const { endProcess } = await import('./end-process.ts');
await endProcess(await main(argv, surroundings), surroundings.notices);

#!/usr/bin/env node
/** The program `granule`. Ends explicitly: with native sockets loaded, running out of work is not a safe end. */
import { main } from './main.ts';
import { processSurroundings } from './surroundings.ts';

process.exit(await main(process.argv.slice(2), processSurroundings()));

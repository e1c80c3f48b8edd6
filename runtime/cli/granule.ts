#!/usr/bin/env node
/** The program `granule`. */
import { endProcess } from './end-process.ts';
import { main } from './main.ts';
import { processSurroundings } from './surroundings.ts';

const surroundings = processSurroundings();
await endProcess(await main(process.argv.slice(2), surroundings), surroundings.notices);

/** Merged listings, and our decoding, against the reference library (Debian: libhepmc3-dev and g++). */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GeneratorEvent } from '../../../payloads/formats/generator-event.ts';
import { inputFormat, outputFormat } from '../../../payloads/formats/registry.ts';
import { EVENT_DATA_FILES, hasEventData, readEventData } from '../../event-data.ts';
import { indexBytes } from './indexed.ts';

const READER = `
#include <HepMC3/GenEvent.h>
#include <HepMC3/GenParticle.h>
#include <HepMC3/GenVertex.h>
#include <HepMC3/ReaderAscii.h>
#include <HepMC3/ReaderAsciiHepMC2.h>
#include <cstdio>
#include <cstring>
template <class Reader> void dump(const char* path) {
  Reader reader(path);
  while (true) {
    HepMC3::GenEvent event;
    if (!reader.read_event(event) || reader.failed()) break;
    double energy = 0, pz = 0;
    int ends = 0;
    for (const auto& particle : event.particles()) {
      energy += particle->momentum().e();
      pz += particle->momentum().pz();
      ends += particle->end_vertex() ? 1 : 0;
    }
    std::printf("%d %zu %zu %d %zu %.12g %.12g\\n", event.event_number(), event.particles().size(),
                event.vertices().size(), ends, event.weights().size(), energy, pz);
  }
  reader.close();
}
int main(int, char** argv) {
  if (!std::strcmp(argv[1], "hepmc2")) dump<HepMC3::ReaderAsciiHepMC2>(argv[2]); else dump<HepMC3::ReaderAscii>(argv[2]);
}
`;

const compiles =
  spawnSync('g++', ['-x', 'c++', '-fsyntax-only', '-'], { input: '#include <HepMC3/ReaderAscii.h>\n' }).status === 0;
const files = EVENT_DATA_FILES.filter(({ format }) => format === 'hepmc3' || format === 'hepmc2');

describe.skipIf(!compiles || !hasEventData)(
  'the HepMC3 library (skipped without g++, libhepmc3-dev or event files)',
  () => {
    let folder = '';
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'granule-hepmc-'));
      writeFileSync(join(folder, 'reader.cc'), READER);
      execFileSync('g++', ['-O1', '-o', join(folder, 'reader'), join(folder, 'reader.cc'), '-lHepMC3']);
    }, 60_000);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it.each(files.map((file) => [basename(file.path), file] as const))(
      'reads %s merged twice over, as we do',
      (_, file) => {
        const bytes = readEventData(file.path);
        const { format, events, segments } = indexBytes(bytes);
        if (format !== 'hepmc3' && format !== 'hepmc2') throw new Error('the file is a HepMC listing');
        const runHeader = bytes.subarray(segments[0]?.offsetBytes, events[0]?.offsetBytes);
        const otherHeader = Buffer.concat([
          runHeader,
          format === 'hepmc3' ? Buffer.from('T tool\\|1\\|\n') : Buffer.of(),
        ]);
        const output = outputFormat(format);
        const joiner = output.createJoiner(undefined);
        const merged: Uint8Array[] = [];
        const expected: string[] = [];
        for (const header of [runHeader, otherHeader]) {
          for (const { offsetBytes, lengthBytes, eventNumber } of events) {
            const event = bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
            const begin = output.begin({ stream: 'S', runHeader: header, inputFormat: format });
            const end = output.end({
              eventCount: 1,
              runNumbers: [],
              eventTypes: [],
              processingTags: [],
              intervalsOfValidity: [],
            });
            const single = Buffer.concat([begin, output.encode(event, { position: 1, eventNumber }), end]);
            merged.push(...joiner.append(output.split(single), 0));
            expected.push(summary(inputFormat(format).decode(event, header) as GeneratorEvent));
          }
        }
        merged.push(joiner.finish(0));
        const path = join(folder, 'merged');
        writeFileSync(path, Buffer.concat(merged));
        const read = spawnSync(join(folder, 'reader'), [format, path], { encoding: 'utf8', maxBuffer: 1 << 26 });
        expect(read.stdout.trim().split('\n')).toEqual(expected);
      },
    );
  },
);

function summary(event: GeneratorEvent): string {
  const energy = event.particles.reduce((sum, particle) => sum + particle.energy, 0);
  const pz = event.particles.reduce((sum, particle) => sum + particle.pz, 0);
  const ends = event.particles.filter(({ endVertex }) => endVertex >= 0).length;
  const { eventNumber, particles, vertices, weights } = event;
  return [eventNumber, particles.length, vertices.length, ends, weights.length, general(energy), general(pz)].join(' ');
}

/** C's `%.12g`. */
function general(value: number): string {
  const [mantissa = '', exponent = '0'] = value.toExponential(11).split('e');
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 12)) {
    const digits = String(Math.abs(power)).padStart(2, '0');
    return `${mantissa.replace(/\.?0+$/, '')}e${power < 0 ? '-' : '+'}${digits}`;
  }
  const text = value.toFixed(value === 0 ? 0 : 11 - power);
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

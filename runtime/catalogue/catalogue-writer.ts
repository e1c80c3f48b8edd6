/** Writes POOL file catalogues, see `pool-file-catalogue.ts`. Needs no XML library. */
import { GranuleError } from '../../core/errors.ts';
import type { CatalogueFile } from './pool-file-catalogue.ts';

// Tab, line feed and carriage return would be read back as spaces if they stood in an attribute as they are.
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
};

// The characters that XML 1.0 (section 2.2) does not allow, lone surrogates included.
const NOT_XML = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;

/** Whether XML 1.0 has a way to write this text at all. */
export function isWritableInXML(text: string): boolean {
  return !NOT_XML.test(text);
}

function attribute(name: string, value: string): string {
  if (!isWritableInXML(value)) {
    throw new GranuleError('CONFIG_INVALID', `${JSON.stringify(value)} holds a character that XML cannot hold`, {
      details: { value },
      remedy: 'Rename the file.',
    });
  }
  return ` ${name}="${value.replace(/[&<>"\t\n\r]/g, (character) => ESCAPES[character] ?? character)}"`;
}

function writeFile(file: CatalogueFile): string {
  const lines = [`  <File${attribute('ID', file.guid)}>`, '    <physical>'];
  for (const { name, filetype, se } of file.physical) {
    const optional = (se === undefined ? '' : attribute('se', se)) + attribute('name', name);
    lines.push(`      <pfn${filetype === undefined ? '' : attribute('filetype', filetype)}${optional}/>`);
  }
  lines.push('    </physical>', '    <logical>');
  for (const lfn of file.logical) lines.push(`      <lfn${attribute('name', lfn)}/>`);
  lines.push('    </logical>');
  for (const { name, value } of file.metadata) {
    lines.push(`    <metadata${attribute('att_name', name)}${attribute('att_value', value)}/>`);
  }
  lines.push('  </File>');
  return lines.join('\n');
}

/**
 * The whole document, as POOL writes it. Throws `CONFIG_INVALID` for a name with characters outside XML 1.0.
 *
 * @param remarks lines for whoever reads the text, without `--`
 */
export function writePoolFileCatalogue(files: readonly CatalogueFile[], remarks: readonly string[] = []): string {
  return [
    '<?xml version="1.0" encoding="UTF-8" standalone="no" ?>',
    '<!-- Edited By POOL -->',
    '<!DOCTYPE POOLFILECATALOG SYSTEM "InMemory">',
    '<POOLFILECATALOG>',
    ...remarks.map((remark) => `  <!-- ${remark} -->`),
    ...files.map(writeFile),
    '</POOLFILECATALOG>',
    '',
  ].join('\n');
}

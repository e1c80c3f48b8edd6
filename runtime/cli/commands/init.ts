/** `granule init`: writes a small project that runs as its README says. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { EXIT, type ExitCode, GranuleError } from '../../../core/errors.ts';
import { suggestNames } from '../../../core/nearest-name.ts';
import { packageFileUrl } from '../../../core/own-files.ts';
import { GRANULE_VERSION } from '../../../core/version.ts';
import { makeWritableFolder } from '../../writable-folder.ts';
import type { CliCommand, ParsedArguments } from '../cli-command.ts';
import type { Surroundings } from '../surroundings.ts';

export const initCommand: CliCommand = { define, run };

/** By name: folders below `templates/`. */
const TEMPLATES = {
  ts: 'payload in TypeScript, with options',
  js: 'payload in JavaScript',
  python: 'payload in Python: a program that is asked event by event',
  command: 'any program, started once per event',
  analysis: 'histograms of LHE events, drawn at the end',
} as const;
type TemplateName = keyof typeof TEMPLATES;

const PACKAGE_FOLDER = fileURLToPath(packageFileUrl('./'));

function define(command: Command): void {
  const list = Object.entries(TEMPLATES).map(([name, summary]) => `  ${name.padEnd(10)}${summary}`);
  command
    .argument('[FOLDER]', 'where to write the project (default: the current folder)')
    .option('-t, --template <NAME>', `one of ${Object.keys(TEMPLATES).join(', ')}`, 'ts')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `\nTemplates:\n${list.join('\n')}\n\nExample:\n  granule init my-analysis --template analysis`,
    );
}

async function run({ operands, flags }: ParsedArguments, surroundings: Surroundings): Promise<ExitCode> {
  if (operands.length > 1) throw new GranuleError('USAGE', `one folder is wanted, not ${operands.length}`);
  const template = templateNamed(String(flags['template']));
  const folder = resolve(surroundings.currentFolder, operands[0] ?? '.');
  const files = await projectFiles(template, basename(folder));
  refuseToOverwrite(folder, [...files.keys()]);
  makeWritableFolder(folder, { what: 'output folder', choice: '(granule init FOLDER)' });
  // `wx`: whatever appeared since the look stays as it is.
  for (const [name, text] of files) writeFileSync(join(folder, name), text, { flag: 'wx' });

  const commands = commandsOf(files.get('README.md') ?? '');
  const place = relative(surroundings.currentFolder, folder);
  if (place !== '') commands.unshift(`cd ${place}`);
  const names = [...files.keys()];
  await surroundings.results.write(
    flags['json'] === true
      ? `${JSON.stringify({ schema: 1, folder, template, files: names, next: commands })}\n`
      : `${names.length} files in ${folder}: ${names.join(', ')}\n\nNext:\n${commands.map((line) => `  ${line}\n`).join('')}\n${howToCall()}\n`,
  );
  return EXIT.ok;
}

function templateNamed(name: string): TemplateName {
  if (Object.hasOwn(TEMPLATES, name)) return name as TemplateName;
  const names = Object.keys(TEMPLATES);
  throw new GranuleError('USAGE', `--template: there is no template "${name}"`, {
    remedy: suggestNames(name, names) ?? `templates are ${names.join(', ')}`,
  });
}

/** Texts by file name. */
async function projectFiles(template: TemplateName, folderName: string): Promise<ReadonlyMap<string, string>> {
  const { runOptionsJsonSchema } = await import('../../options/option-schema.ts');
  const name =
    folderName
      .toLowerCase()
      .replace(/[^a-z0-9._-]+/g, '-')
      .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '') || 'payload';
  const templateFolder = join(PACKAGE_FOLDER, 'templates', template);
  const files = new Map<string, string>();
  for (const file of readdirSync(templateFolder).sort()) {
    const text = readFileSync(join(templateFolder, file), 'utf8');
    files.set(file, text.replaceAll('{{name}}', name).replaceAll('{{how-to-call}}', howToCall()));
  }
  const isNodeProject = files.has('payload.ts') || files.has('payload.js');
  if (isNodeProject) files.set('package.json', packageJson(name, files.has('options.ts')));
  files.set('.gitignore', 'out/\nnode_modules/\n');
  files.set('granule.schema.json', `${JSON.stringify(runOptionsJsonSchema(), null, 2)}\n`);
  return files;
}

/** For editors only: granule itself needs nothing installed beside a payload. */
function packageJson(name: string, usesZod: boolean): string {
  const from = isInstalled() ? packageFile() : PACKAGE_FOLDER;
  const granule = from === undefined ? `^${GRANULE_VERSION}` : `file:${from}`;
  const devDependencies = { '@types/node': '^20', granule, ...(usesZod ? { zod: '^4' } : {}) };
  return `${JSON.stringify({ name, private: true, type: 'module', devDependencies }, null, 2)}\n`;
}

function isInstalled(): boolean {
  return /[/\\]node_modules[/\\]/.test(PACKAGE_FOLDER);
}

/** The package file that it was installed from; undefined for the registry, where npm finds it again by its name. */
function packageFile(): string | undefined {
  const modules = join(PACKAGE_FOLDER, '..');
  let resolved: unknown;
  try {
    const installed = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8'));
    resolved = installed.packages['node_modules/granule'].resolved;
  } catch {
    return undefined; // installed in a way that leaves no such list
  }
  if (typeof resolved !== 'string' || !resolved.startsWith('file:')) return undefined;
  const path = resolve(modules, '..', resolved.slice('file:'.length));
  return existsSync(path) ? path : undefined;
}

function howToCall(): string {
  const program = join(PACKAGE_FOLDER, 'dist/runtime/cli/granule.js');
  const alias = isInstalled() ? "alias granule='npx granule'" : `alias granule='node ${program}'`;
  return `If your shell does not know the command: \`${alias}\`.`;
}

function refuseToOverwrite(folder: string, names: readonly string[]): void {
  const existing = names.filter((name) => existsSync(join(folder, name)));
  if (existing.length === 0) return;
  throw new GranuleError('USAGE', `${folder} holds ${existing.join(', ')} already; nothing was written`, {
    details: { folder, files: existing },
    remedy: 'name a new folder: granule init FOLDER',
  });
}

/** The lines of the README's first block of commands. */
function commandsOf(readme: string): string[] {
  return /```sh\n([\s\S]*?)```/.exec(readme)?.[1]?.trimEnd().split('\n') ?? [];
}

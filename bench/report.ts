/** The report: one HTML file with the machine, the commands, tables and pictures. Loads nothing from anywhere. */
import { machineRows } from './machine.ts';
import { escapeText } from './pictures/svg.ts';
import type { BenchRecord, ScenarioRecord } from './result-file.ts';
import type { ResultTable } from './scenario.ts';

const STYLE = `
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1d2430;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.5rem;border-bottom:1px solid #c9ced6}h3{font-size:1rem}
table{border-collapse:collapse;margin:.5rem 0 1rem}td,th{padding:.15rem .7rem;border-bottom:1px solid #e3e6eb;text-align:left}
td.right,th.right{text-align:right;font-variant-numeric:tabular-nums}
code{background:#f0f2f5;padding:.1rem .3rem;border-radius:3px}
.warning{background:#fdf0e7;border-left:4px solid #d2452d;padding:.3rem .8rem;margin:.5rem 0}
svg{max-width:100%;height:auto;display:block;margin:1rem 0}
@media(prefers-color-scheme:dark){body{color:#dfe4ec;background:#171b22}code{background:#252b35}
td,th{border-color:#323a47}.warning{background:#3a2620}}
`;

export function htmlReport(record: BenchRecord): string {
  const title = `granule bench: ${record.machine.host}, ${record.startedAt.slice(0, 10)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeText(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeText(title)}</h1>
<p>What each scenario measures, and how to read it, stands in <code>docs/benchmarks.md</code>.</p>
${htmlTable({
  title: 'Machine and versions',
  columns: [{ title: '' }, { title: '' }],
  rows: [...machineRows(record.machine).map((row) => [...row]), ['measured', record.startedAt]],
})}
${record.scenarios.map(htmlScenario).join('\n')}
</body>
</html>
`;
}

function htmlScenario(scenario: ScenarioRecord): string {
  const parts = [
    `<h2>${escapeText(scenario.scenario)}</h2>`,
    `<p><code>${escapeText(scenario.command)}</code> (${scenario.repeats} repeats${scenario.quick ? ', quick' : ''})</p>`,
    ...scenario.warnings.map((warning) => `<p class="warning">${escapeText(warning)}</p>`),
    ...scenario.tables.map(htmlTable),
    ...scenario.pictures.map(({ svg }) => `<figure>${svg}</figure>`),
  ];
  if (scenario.notes.length > 0) {
    parts.push(`<ul>${scenario.notes.map((note) => `<li>${escapeText(note)}</li>`).join('')}</ul>`);
  }
  return parts.join('\n');
}

function htmlTable({ title, columns, rows }: ResultTable): string {
  const cell = (tag: string, content: string, column: number): string =>
    `<${tag}${columns[column]?.align === 'right' ? ' class="right"' : ''}>${escapeText(content)}</${tag}>`;
  const head = columns.some((column) => column.title !== '')
    ? `<thead><tr>${columns.map((column, index) => cell('th', column.title, index)).join('')}</tr></thead>`
    : '';
  const body = rows.map((row) => `<tr>${row.map((content, index) => cell('td', content, index)).join('')}</tr>`);
  return `<h3>${escapeText(title)}</h3>\n<table>${head}<tbody>${body.join('\n')}</tbody></table>`;
}

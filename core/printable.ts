/**
 * Text from elsewhere (file names, messages of payloads) as a terminal may be given it: control characters are shown and
 * not sent, so that no name can move the cursor or change colours.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** On one line. */
export function printableLine(text: string): string {
  return text.replace(CONTROLS, shown);
}

/** Line ends and tabs stay. */
export function printableText(text: string): string {
  return text.replace(CONTROLS, (control) => (control === '\n' || control === '\t' ? control : shown(control)));
}

function shown(control: string): string {
  return NAMED[control] ?? `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`;
}

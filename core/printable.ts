/**
 * Text from elsewhere (file names, messages of payloads) as a terminal may be given it: control characters are shown and
 * not sent, so that no name can move the cursor, change colours, or (Unicode's line ends and directional formatting
 * characters, UAX #9) make a line read otherwise than it is.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

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
  const code = control.charCodeAt(0).toString(16);
  return NAMED[control] ?? (code.length > 2 ? `\\u${code.padStart(4, '0')}` : `\\x${code.padStart(2, '0')}`);
}

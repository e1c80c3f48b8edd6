/** Percent-encoding (RFC 3986, 2.1) of text that others wrote. */

/** A text with a stray per cent sign stays as it is. */
export function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

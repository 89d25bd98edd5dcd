/** As much of `node:fs` and `node:path` as the tests use, for a page: files are those of the server. */

/** Reads a file; text if there is an encoding. A test page may wait for it. */
export function readFileSync(path: string, encoding?: string): string | Uint8Array {
  const request = new XMLHttpRequest();
  request.open("GET", path, false);
  request.overrideMimeType("text/plain; charset=x-user-defined"); // one letter for each byte
  request.send();
  if (request.status !== 200) throw new Error(`${path} is not there`);
  const data = Uint8Array.from(request.responseText, (letter) => letter.charCodeAt(0) & 0xff);
  return encoding === undefined ? data : new TextDecoder(encoding).decode(data);
}

/** Returns the names in a folder. */
export function readdirSync(path: string): string[] {
  return JSON.parse(readFileSync(`${path}/`, "utf8") as string);
}

export function join(...parts: string[]): string {
  return new URL(parts.join("/"), location.href).pathname;
}

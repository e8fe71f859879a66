/** Packed data in the page: gzip, written as base64. */

export const canUnpack = () => typeof DecompressionStream === "function" && typeof WebAssembly === "object";

/** Bytes of a base64 text. */
export function bytesOf(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** Unpack a block of the page and empty it, so that its text does not stay in memory. */
export async function unpack(element) {
  const packed = new Blob([bytesOf(element.textContent.trim())]);
  element.textContent = "";
  const stream = packed.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

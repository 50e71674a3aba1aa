/** Ranges: reads Range and If-Range as RFC 9110 words them, independently of the project's own reader. */

/** Both ends included, in bytes. */
export type ByteRange = { first: number; last: number };

/** null: send the whole. Several ranges are served with the whole too, as S3 does. */
export function requestedRange(
  headers: Headers,
  size: number,
  etag: string | null,
): ByteRange | "unsatisfiable" | null {
  const ifRange = headers.get("if-range");
  if (ifRange !== null && ifRange !== etag) return null;
  const match = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(headers.get("range") ?? "");
  if (match === null) return null;
  const [, from = "", to = ""] = match;
  if (from === "") {
    if (to === "") return null;
    const length = Math.min(Number(to), size);
    return length === 0 ? "unsatisfiable" : { first: size - length, last: size - 1 };
  }
  const first = Number(from);
  const last = to === "" ? size - 1 : Math.min(Number(to), size - 1);
  if (to !== "" && Number(to) < first) return null;
  return first >= size ? "unsatisfiable" : { first, last };
}

/** Whether a response to a range request is the requested part: what clients rely on when they resume a layer. */
import { parseContentRange } from "../../src/oci/range.ts";
import { size } from "../terminal/format.ts";
import { bad, type Check, good } from "./check.ts";

export interface PartResponse {
  status: number;
  headers: Headers;
  bytes: Uint8Array;
}

const ADVICE =
  "A pull that was interrupted would end in a damaged layer, or start from the beginning each time. If a proxy stands before the mirror, " +
  "let it pass Range and 206 on as they are; else use another mirror.";

/**
 * @param whole the blob, known to be right
 * @param first position of the first requested byte; the last one is the blob's own
 */
export function judgeRange(response: PartResponse, whole: Uint8Array, first: number): Check {
  const wrong = mistake(response, whole, first);
  if (wrong === null)
    return good("range", `a part of a layer comes as requested, ${size(whole.length - first)}`);
  return bad("range", wrong, ADVICE);
}

function mistake({ status, headers, bytes }: PartResponse, whole: Uint8Array, first: number): string | null {
  if (status === 200) return "ignores Range: it answers 200 with the whole layer";
  if (status !== 206) return `answers a range with ${status} where 206 is due`;
  const sent = parseContentRange(headers.get("content-range"));
  if (sent === null) return "answers 206 without a Content-Range that can be read";
  if (
    sent.first !== first ||
    sent.last !== whole.length - 1 ||
    (sent.size ?? whole.length) !== whole.length
  ) {
    return `was sent a request for bytes ${first}-${whole.length - 1}/${whole.length} and answers "${headers.get("content-range")}"`;
  }
  if (!Buffer.from(whole.subarray(first)).equals(bytes))
    return "answers a range with other bytes than the layer has there";
  return null;
}

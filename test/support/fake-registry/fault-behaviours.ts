/** Ready-made behaviours for `fail`, named after the faults that a mirror must survive. Those that change a body
 * leave answers other than 2xx alone, so a challenge on the way doesn't use them up. */
import { withBody, withHeaders } from "./answers.ts";
import { collect, concatenate, gzip, ownCopy } from "./bytes.ts";
import type { Behaviour } from "./faults.ts";
import { pause, untilAborted } from "./faults.ts";

type Transform = Extract<Behaviour, { transform: unknown }>;

function onSuccess(
  change: (response: Response, request: Request) => Response | Promise<Response>,
): Transform {
  return { transform: (response, request) => (response.ok ? change(response, request) : response) };
}

function onBody(change: (body: ReadableStream<Uint8Array>, request: Request) => ReadableStream<Uint8Array>) {
  return onSuccess((response, request) =>
    response.body === null ? response : withBody(response, change(response.body, request)),
  );
}

/** Right length, wrong bytes: the last byte is another. */
export function corrupted(): Transform {
  return onSuccess(async (response) => {
    if (response.body === null) return response;
    const bytes = await collect(response.body);
    const last = bytes.at(-1);
    if (last !== undefined) bytes[bytes.byteLength - 1] = last ^ 0xff;
    return withBody(response, bytes);
  });
}

/** The connection breaks after so many bytes, whatever Content-Length says; without one it is cut while chunked. */
export function cutAfter(bytes: number): Transform {
  return onBody((body, { signal }) => limited(body, bytes, "break", signal));
}

/** The body ends tidily after so many bytes, although Content-Length says more. */
export function endsAfter(bytes: number): Transform {
  return onBody((body, { signal }) => limited(body, bytes, "end", signal));
}

/** Nothing comes after so many bytes, and the connection stays open until the reader gives up. */
export function stallsAfter(bytes: number): Transform {
  return onBody((body, { signal }) => limited(body, bytes, "stall", signal));
}

/** So many bytes, then a pause, and so on. */
export function trickle(bytes: number, milliseconds: number): Transform {
  return onBody((body, request) => {
    const reader = body.getReader();
    let stored: Uint8Array = new Uint8Array(0);
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        while (stored.byteLength < bytes) {
          const { done, value } = await reader.read();
          if (done) break;
          stored = concatenate([stored, value]);
        }
        if (stored.byteLength === 0) {
          controller.close();
          return;
        }
        controller.enqueue(ownCopy(stored.subarray(0, bytes)));
        stored = stored.subarray(bytes);
        await pause(milliseconds, request.signal);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  });
}

/** 200 with a page of somebody in between: a captive portal, a firewall. */
export function htmlPage(
  html = "<!doctype html><title>Sign in</title><h1>Sign in to this network</h1>",
): Transform {
  return onSuccess(async (response) => {
    await response.body?.cancel();
    const length = String(new TextEncoder().encode(html).byteLength);
    const headers = { "content-type": "text/html", "content-length": length };
    return new Response(html, { headers });
  });
}

/** 200 with the object's own headers and no bytes at all. */
export function emptyBody(): Transform {
  return onSuccess(async (response) => {
    await response.body?.cancel();
    return withBody(response, new Uint8Array(0), { "content-length": "0" });
  });
}

/** The body gzipped on the way, as some proxies do. Over a socket only: in process it wouldn't be decoded. */
export function gzippedOnTheWay(): Transform {
  return onSuccess(async (response) => {
    if (response.body === null) return response;
    const bytes = await gzip(await collect(response.body));
    return withBody(response, bytes, {
      "content-encoding": "gzip",
      "content-length": String(bytes.byteLength),
    });
  });
}

export function withoutContentLength(): Transform {
  return onSuccess((response) => withHeaders(response, { "content-length": null }));
}

/** Content-Length too large (`by` > 0) or too small. Over a socket see also raw-faults.ts. */
export function wrongContentLength(by: number): Transform {
  return onSuccess((response) => {
    const length = Number(response.headers.get("content-length") ?? "0") + by;
    return withHeaders(response, { "content-length": String(Math.max(0, length)) });
  });
}

/** 206 with the first half, although the whole was requested. Body and headers agree with each other. */
export function partialToPlainGet(): Transform {
  return onSuccess(async (response, request) => {
    if (response.status !== 200 || response.body === null || request.headers.has("range")) return response;
    const whole = await collect(response.body);
    const half = whole.slice(0, Math.ceil(whole.byteLength / 2));
    const contentRange = `bytes 0-${half.byteLength - 1}/${whole.byteLength}`;
    const headers = { "content-range": contentRange, "content-length": String(half.byteLength) };
    return withBody(response, half, headers, 206);
  });
}

/** Headers set, or removed where null: another ETag, another Docker-Content-Digest, another Content-Type. */
export function changedHeaders(changes: Record<string, string | null>): Transform {
  return onSuccess((response) => withHeaders(response, changes));
}

export function redirectTo(location: string, status = 307): Behaviour {
  return { status, headers: { location } };
}

/** Leads to itself for ever. */
export function redirectLoop(status = 307): Transform {
  return { transform: (_, { url }) => new Response(null, { status, headers: { location: url } }) };
}

/** So many redirects within the same host before the response, counted in a query parameter `hop`. */
export function redirectChain(hops: number): Transform {
  return {
    transform: (response, request) => {
      const url = new URL(request.url);
      const hop = Number(url.searchParams.get("hop") ?? "0");
      if (hop >= hops) return response;
      url.searchParams.set("hop", String(hop + 1));
      return new Response(null, { status: 307, headers: { location: url.href } });
    },
  };
}

/** 429; without `retryAfter` (seconds, or an HTTP date) it is Docker Hub's abuse limit. */
export function tooManyRequests(retryAfter?: number | string): Behaviour {
  return { status: 429, headers: retryAfter === undefined ? {} : { "retry-after": String(retryAfter) } };
}

/** 401 with a challenge of the test's choosing: for ever a loop, with another realm a trap. */
export function challenge(realm: string, parameters: Record<string, string> = {}): Behaviour {
  const rest = Object.entries(parameters).map(([name, value]) => `,${name}="${value}"`);
  return { status: 401, headers: { "www-authenticate": `Bearer realm="${realm}"${rest.join("")}` } };
}

function limited(
  body: ReadableStream<Uint8Array>,
  bytes: number,
  then: "break" | "end" | "stall",
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = bytes;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (left > 0) {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          return;
        }
        const piece = ownCopy(value.subarray(0, left));
        left -= piece.byteLength;
        controller.enqueue(piece);
        return;
      }
      if (then === "stall") {
        // Rejects on abort, as the body of a real fetch does: a mirror's own time-out must be able to end it.
        await untilAborted(signal);
        return;
      }
      await reader.cancel();
      if (then === "end") controller.close();
      else controller.error(new TypeError("terminated: connection lost in mid-stream (fake registry)"));
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

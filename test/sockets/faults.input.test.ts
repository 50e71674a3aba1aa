/** Requests as no HTTP library sends them, and upstream's answers to them: the faults of test/faults/list.ts about input. */
import { afterAll, beforeAll, expect } from "vitest";
import type { Fault } from "../faults/list.ts";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { download } from "./support/download.ts";
import { isOfInput, useFaults } from "./support/faults.ts";
import { exchange, get, singleRequest, statusesIn } from "./support/raw-request.ts";
import { type Blob, MIB, requestsFor, type Stage, serveBlob, startStage } from "./support/stage.ts";

const KIB = 1024;
const fault = useFaults(isOfInput);

let upstream: RawFaults;
let liar: RawFaults;
let stage: Stage;

beforeAll(async () => {
  upstream = await startRawFaults();
  liar = await startRawFaults();
  stage = await startStage({ "upstream.test": upstream.url, "liar.test": liar.url });
});
afterAll(async () => {
  await stage?.stop();
  await liar?.close();
  await upstream?.close();
});

/** Refused or ignored; upstream never sees it, and the mirror keeps running. */
function refusesRaw(name: Fault, targets: Record<string, string | Uint8Array>): void {
  for (const [what, bytes] of Object.entries(targets)) {
    fault(name, what, async () => {
      const statuses = statusesIn(await exchange(stage.url, bytes));
      expect(statuses.length).toBeLessThanOrEqual(1);
      for (const status of statuses) expect([400, 403, 404, 405, 421, 431]).toContain(status);
      const received = JSON.stringify(upstream.requests);
      for (const trace of ["..", "%2e", "%2f", "secret", "evil", "\\u0000"])
        expect(received).not.toContain(trace);
      expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
    });
  }
}

const TAIL = "some/repository/manifests/latest";
refusesRaw("dots and slashes, plain and encoded", {
  "../ out of the API": singleRequest("/v2/upstream.test/../../secret"),
  "../ out of the repository": singleRequest(
    "/v2/upstream.test/some/repository/../../../_/secret/manifests/x",
  ),
  "%2e%2e": singleRequest("/v2/%2e%2e/%2e%2e/secret"),
  "%2F": singleRequest(`/v2/upstream.test%2Fsecret%2F..%2F${TAIL}`),
  "two slashes": singleRequest(`//v2//upstream.test//${TAIL}`),
  "another host in the target": singleRequest(`http://evil.test/v2/upstream.test/evil/manifests/`),
  "no slash at all": singleRequest("v2/secret"),
  backslashes: singleRequest("/v2/upstream.test\\..\\secret"),
});
refusesRaw("Unicode, NUL", {
  "a NUL in the target": singleRequest(`/v2/upstream.test/some/\0repository/manifests/secret`),
  "%00 in the target": singleRequest(`/v2/upstream.test/some/%00repository/manifests/secret`),
  "UTF-8 as it is": new TextEncoder().encode(singleRequest("/v2/upstream.test/some/sécret/manifests/latest")),
  "half a letter of UTF-8": Uint8Array.from(
    Buffer.from(singleRequest("/v2/upstream.test/some/secret\xc3/manifests/latest"), "latin1"),
  ),
});
refusesRaw("CRLF", {
  "a line feed in the target": singleRequest(`/v2/upstream.test/some/secret\nX-Evil: yes/manifests/latest`),
  "%0d%0a in the target": singleRequest(`/v2/upstream.test/some/secret%0d%0aX-Evil:%20yes/manifests/latest`),
  "%0d%0a in ns": singleRequest(`/v2/some/secret/manifests/latest?ns=upstream.test%0d%0aX-Evil:%20yes`),
});

fault("CRLF", "in what the client sends along: no header upstream", async () => {
  const blob = serveBlob(upstream, KIB);
  const target = `/v2/upstream.test/some/repository/blobs/${blob.digest}`;
  await exchange(stage.url, get(target, "User-Agent: x\r\n X-Evil: folded", "X-A: b\nX-Evil: bare"));
  const requests = requestsFor(upstream, blob);
  for (const { headers } of requests) expect(headers["x-evil"]).toBe(undefined);
  if (requests.length > 0) await stage.waitUntilStored(blob);
  expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
});

for (const [what, lines] of Object.entries({
  "of the client's, the second larger": ["Content-Length: 0", "Content-Length: 60"],
  "of the client's, the second smaller": ["Content-Length: 60", "Content-Length: 0"],
  "one of the client's beside Transfer-Encoding": ["Content-Length: 60", "Transfer-Encoding: chunked"],
})) {
  fault("two Content-Lengths", `${what}: no second request is read out of the first`, async () => {
    const blob = serveBlob(upstream, KIB);
    const smuggled = get(`/v2/upstream.test/some/repository/blobs/${blob.digest}`);
    const received = await exchange(stage.url, `${get("/v2/", ...lines)}0\r\n\r\n${smuggled}`);
    const [first, ...rest] = statusesIn(received);
    expect([undefined, 200, 400]).toContain(first);
    // Either the message is refused, or its length is taken one way; what follows is then a request of the same client.
    if (first !== 200) expect(rest).toEqual([]);
    expect(received).not.toMatch(/HTTP\/1\.1 5/);
    expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
  });
}

for (const by of [-1000, 1000]) {
  fault("two Content-Lengths", `of upstream's, the second off by ${by}`, async () => {
    const blob = serveBlob(liar, MIB, { fault: { type: "two-lengths", by } });
    const { response, ending } = await download(stage.urlOf("liar.test", blob));
    expect([response.status, ending]).toEqual([503, "whole"]);
    expect(response.headers["content-type"]).toBe("application/json");
    expect(await stage.isStored(blob)).toBe(false);
    liar.serve(blob.path, { body: blob.bytes });
    await stage.waitUntilStored(await pullOnceFixed(blob));
  });
}

/** Pulls a blob again, now that upstream serves it intact. */
async function pullOnceFixed(blob: Blob): Promise<Blob> {
  await until("another request to upstream", DEADLINE, async () => {
    const { response } = await download(stage.urlOf("liar.test", blob));
    return response.digest === blob.digest;
  });
  return blob;
}

fault("huge query", "is served or refused, and never forwarded", async () => {
  const blob = serveBlob(upstream, KIB);
  const target = `/v2/upstream.test/some/repository/blobs/${blob.digest}?x=${"y".repeat(200_000)}`;
  const [status] = statusesIn(await exchange(stage.url, singleRequest(target)));
  expect([200, 400, 414, 431, undefined]).toContain(status);
  for (const { query } of requestsFor(upstream, blob)) expect(query).toBe("");
  expect((await fetch(`${stage.url}/v2/`)).status).toBe(200);
});

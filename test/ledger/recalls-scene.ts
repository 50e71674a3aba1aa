/** The owner's requests about recalled digests, and a client's for what they deny. */
import { expect } from "vitest";
import { type MirrorResponse, type TestMirror, useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { Authorization: `Bearer ${ADMIN_KEY}` };
export const REASON = "CVE-2026-1234: use 1.2.4";

type Init = RequestInit & { host?: string };

export interface RecallsScene {
  mirror: TestMirror;
  /** From this machine. */
  get(path: string, init?: Init): Promise<MirrorResponse>;
  /** Of `docker.io/library/demo`. */
  demo(path: string, init?: Init): Promise<MirrorResponse>;
  /** With the admin key. @param path below `/_/`. */
  send(method: string, path: string, body?: string | null): Promise<MirrorResponse>;
  recall(digest: string, reason?: string): Promise<void>;
}

/** To be called at the top of a test file. */
export function useRecalls(): RecallsScene {
  const mirror = useMirror({ ADMIN_KEY, LOOPBACK: true, DOMAIN: "example.com" });
  const get = (path: string, init: Init = {}) => mirror.request(path, { host: "127.0.0.1", ...init });
  const send = (method: string, path: string, body: string | null = null) => {
    const headers = { ...OWNER, "Content-Length": String(body?.length ?? 0) };
    return get(`/_/${path}`, { method, headers, body });
  };
  return {
    mirror,
    get,
    demo: (path, init) => get(`/v2/docker.io/library/demo/${path}`, init),
    send,
    recall: async (digest, reason = REASON) => {
      const { status } = await send("POST", "recalled", JSON.stringify({ digest, reason }));
      expect(status).toBe(204);
    },
  };
}

/** The owner of a mirror, in a browser. */
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

export const ADMIN_KEY = "admin-key-of-32-characters-or-so!";
const HTML = { Accept: "text/html" };

/** To be called at the top of a test file. */
export function useOwner(vars: Record<string, unknown>) {
  const mirror = useMirror(vars);
  let cookie = "";
  const post = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) => {
    const body = new URLSearchParams(fields).toString();
    const own = { Origin: "https://mirror.test", "Content-Length": String(body.length), Cookie: cookie };
    return mirror.request(path, { method: "POST", body, headers: { ...HTML, ...own, ...headers } });
  };
  return {
    mirror,
    post,
    page: (path = "/_/owner", headers: Record<string, string> = { Cookie: cookie }) =>
      mirror.request(path, { headers: { ...HTML, ...headers } }),
    signIn: async () => {
      const response = await post("/_/session", { key: ADMIN_KEY, next: "/_/owner" });
      cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
      return cookie;
    },
    signOut: () => {
      cookie = "";
    },
  };
}

/** Without the places where long names may break. */
export function textOf({ bytes }: MirrorResponse): string {
  return new TextDecoder().decode(bytes).replaceAll("<wbr/>", "");
}

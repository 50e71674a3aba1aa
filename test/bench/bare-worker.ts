/** The minimal Worker that Portolan is compared with: it forwards a request, sends an empty response, or serves an R2 object. */
interface Env {
  UPSTREAM: string;
  STORE: {
    get(key: string): Promise<{ body: ReadableStream; size: number } | null>;
    put(key: string, body: ReadableStream | null): Promise<unknown>;
  };
}

export default {
  async fetch(request: Request, { UPSTREAM, STORE }: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/empty") return new Response("");
    if (!pathname.startsWith("/r2/")) return fetch(new URL(pathname, UPSTREAM), request);
    const key = pathname.slice("/r2/".length);
    if (request.method === "PUT") await STORE.put(key, request.body);
    const object = request.method === "PUT" ? null : await STORE.get(key);
    return new Response(object?.body ?? "", { headers: { "Content-Length": String(object?.size ?? 0) } });
  },
};

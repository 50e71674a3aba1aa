/** Storage: the origin behind redirects. It believes signatures alone, and refuses a stray Authorization as S3 does. */
import { ociError, storageError } from "./answers.ts";
import { digestOf, utf8 } from "./bytes.ts";
import type { Content } from "./content.ts";
import { answerBlob, answerManifest } from "./objects.ts";
import type { Exchange } from "./routes.ts";
import type { RegistrySettings } from "./settings.ts";

const RELATIVE_PREFIX = "/artifacts-downloads";

export class Storage {
  readonly #settings: RegistrySettings;
  readonly #content: Content;

  constructor(settings: RegistrySettings, content: Content) {
    this.#settings = settings;
    this.#content = content;
  }

  /** null where blobs aren't redirected. */
  async blobRedirect(digest: string): Promise<Response | null> {
    const { redirect, now, signatureLifetime } = this.#settings;
    if (redirect === "none") return null;
    const expires = String(Math.floor(now() / 1000) + signatureLifetime);
    const query = new URLSearchParams({ signature: await signature(digest, expires), expires });
    return this.#redirectTo(redirect, `/blobs/${digest}?${query}`);
  }

  /** null where manifests aren't redirected. The client's own query goes along, or is dropped. */
  manifestRedirect(url: string, name: string, reference: string): Response | null {
    const { manifestRedirect, dropQueryOnManifestRedirect } = this.#settings;
    if (manifestRedirect === "none") return null;
    const query = dropQueryOnManifestRedirect ? "" : new URL(url).search;
    return this.#redirectTo(manifestRedirect, `/manifests/${name}/${reference}${query}`);
  }

  async blob(exchange: Exchange, digest: string): Promise<Response> {
    const refusal = this.#refusal(exchange) ?? (await this.#unsigned(exchange, digest));
    if (refusal !== null) return refusal;
    const bytes = this.#content.storedBlob(digest);
    return bytes === undefined
      ? storageError(404, "NoSuchKey")
      : answerBlob({ ...this.#settings, digestHeader: false }, exchange, digest, bytes);
  }

  async manifest(exchange: Exchange, name: string, reference: string): Promise<Response> {
    const refusal = this.#refusal(exchange);
    if (refusal !== null) return refusal;
    if (!this.#content.has(name))
      return ociError(404, "NAME_UNKNOWN", "repository name not known to registry");
    return answerManifest(this.#settings, this.#content, exchange, name, reference);
  }

  #refusal(exchange: Exchange): Response | null {
    const isOtherOrigin = exchange.host !== this.#settings.registryHost;
    const hasAuthorization = exchange.request.headers.has("authorization");
    return isOtherOrigin && hasAuthorization ? storageError(400, "InvalidArgument") : null;
  }

  async #unsigned(exchange: Exchange, digest: string): Promise<Response | null> {
    const query = new URL(exchange.url).searchParams;
    const expires = query.get("expires") ?? "";
    const isSigned = query.get("signature") === (await signature(digest, expires));
    const isFresh = Number(expires) * 1000 > this.#settings.now();
    return isSigned && isFresh
      ? null
      : storageError(403, isSigned ? "AccessDenied" : "SignatureDoesNotMatch");
  }

  #redirectTo(how: "absolute" | "relative", path: string): Response {
    const { scheme, storageHost } = this.#settings;
    return how === "absolute"
      ? new Response(null, { status: 307, headers: { location: `${scheme}://${storageHost}${path}` } })
      : new Response(null, { status: 302, headers: { location: `${RELATIVE_PREFIX}${path}` } });
  }
}

/** Not a secret and not meant to be: it only has to be lost when a query is dropped or changed. */
async function signature(digest: string, expires: string): Promise<string> {
  return (await digestOf(utf8(`${digest} until ${expires}`))).slice("sha256:".length);
}

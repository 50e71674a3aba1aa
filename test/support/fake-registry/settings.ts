/** Settings: every switch of the fake registry, what it means, and its default. A test may change them at any time. */

export type Credential = {
  username: string;
  password: string;
  /** The private repositories that this account may pull; all of them when left out. */
  repositories?: readonly string[];
};

export type RegistrySettings = {
  scheme: "https" | "http";
  /** Hosts with their port where it isn't the scheme's own, as in a Host header. */
  registryHost: string;
  storageHost: string;
  tokenHost: string;
  /** Path of the token endpoint on tokenHost. */
  tokenPath: string;
  /** The realm as challenges state it; null: the real one, made of scheme, tokenHost and tokenPath. */
  realm: string | null;
  /** The realm in the challenge for a token that has expired (nvcr.io); null: the same as ever. */
  realmAfterExpiry: string | null;
  /** Service in challenges; the token endpoint refuses any other. null: no service (nvcr.io). */
  service: string | null;
  auth: "bearer" | "basic" | "none";
  credentials: Credential[];
  /** Scope of the challenge on `/v2/` (ghcr.io: `repository:user/image:pull`); null: none, as is usual. */
  placeholderScope: string | null;
  tokenField: "token" | "access_token" | "both";
  /** `expires_in` in seconds as the token endpoint states it, may be negative; null: left out. */
  expiresIn: number | null;
  /** Seconds after which a token is refused; null: expiresIn where that is positive, else 300. */
  tokenLifetime: number | null;
  /** `issued_at` in token answers. */
  issuedAt: boolean;
  /** Asking for more than `pull`: true answers 403 (ghcr.io), false grants `pull` alone (Docker Hub). */
  refusePush: boolean;
  /** The scope of a repository that the subject may not pull: refused, or a token that opens nothing. */
  deniedScope: "refuse" | "grant-nothing";
  deniedStatus: 401 | 403;
  /** Whether a repository that doesn't exist answers 404, or as if it were private (Docker Hub). */
  unknownRepositories: "not-found" | "private";
  /** Blobs: served here (`none`), 307 to storageHost, or a relative 302 within registryHost (gcr.io). */
  redirect: "none" | "absolute" | "relative";
  /** Whether HEAD of a blob is redirected like GET. */
  redirectHead: boolean;
  manifestRedirect: "none" | "absolute" | "relative";
  dropQueryOnManifestRedirect: boolean;
  /** Seconds for which a redirect's signature holds. */
  signatureLifetime: number;
  /** false: Range is ignored, and the whole blob is sent with 200. */
  ranges: boolean;
  etag: (digest: string) => string | null;
  /** Docker-Content-Digest on manifests and blobs. */
  digestHeader: boolean;
  /** A schema 1 manifest for tags, unless Accept names an OCI or Docker v2 type (quay.io). */
  schema1WithoutAccept: boolean;
  /** Most entries on a page; `n` may request fewer. */
  tagsPageSize: number;
  referrersPageSize: number;
  /** Tags in the order in which they were first pushed (ghcr.io), and pages by the registry's own cursor: no tag, but a
   * token (ECR) or a number (Artifactory). */
  tagsOrder: "lexical" | "pushed";
  tagsCursor: "tag" | "token" | "number";
  /** `n` and `last` mean nothing: every list is whole. */
  ignoresPaging: boolean;
  /** Link headers with scheme and host. */
  absoluteLinks: boolean;
  /** The referrers API: applies artifactType, ignores it, or is absent (404). */
  referrers: "filter" | "no-filter" | "off";
  /** Milliseconds since the epoch: the clock of tokens and signatures. */
  now: () => number;
};

export type FakeRegistryOptions = Partial<RegistrySettings>;

export function withDefaults(options: FakeRegistryOptions): RegistrySettings {
  return {
    scheme: "https",
    registryHost: "registry.test",
    storageHost: "storage.test",
    tokenHost: "auth.test",
    tokenPath: "/token",
    realm: null,
    realmAfterExpiry: null,
    service: "registry.test",
    auth: "bearer",
    credentials: [],
    placeholderScope: null,
    tokenField: "both",
    expiresIn: 300,
    tokenLifetime: null,
    issuedAt: true,
    refusePush: false,
    deniedScope: "refuse",
    deniedStatus: 401,
    unknownRepositories: "not-found",
    redirect: "none",
    redirectHead: true,
    manifestRedirect: "none",
    dropQueryOnManifestRedirect: false,
    signatureLifetime: 600,
    ranges: true,
    etag: (digest) => `"${digest}"`,
    digestHeader: true,
    schema1WithoutAccept: false,
    tagsPageSize: 100,
    referrersPageSize: 100,
    tagsOrder: "lexical",
    tagsCursor: "tag",
    ignoresPaging: false,
    absoluteLinks: false,
    referrers: "filter",
    now: () => Date.now(),
    ...options,
  };
}

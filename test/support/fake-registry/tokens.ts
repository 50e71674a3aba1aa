/** Tokens: who may pull what. The token endpoint, the challenges, and the check of every Authorization header. */
import { ociError } from "./answers.ts";
import type { Content } from "./content.ts";
import type { RegistrySettings } from "./settings.ts";

/** null is the anonymous caller. */
type Subject = string | null;
type Grant = { subject: Subject; repositories: ReadonlySet<string>; expiresAt: number };
type AskedScope = { repository: string; actions: string[] };

const DEFAULT_LIFETIME_SECONDS = 300;
const PULL_SCOPE = /^repository:(?:\S+:)?([^\s:]+):(\S*)$/;

export class Tokens {
  readonly #settings: RegistrySettings;
  readonly #content: Content;
  readonly #grants = new Map<string, Grant>();

  constructor(settings: RegistrySettings, content: Content) {
    this.#settings = settings;
    this.#content = content;
  }

  /** null when the request may pass; otherwise the refusal. `repository` is null for what belongs to none: the ping. */
  authorize(request: Request, repository: string | null): Response | null {
    const { auth } = this.#settings;
    const header = request.headers.get("authorization");
    if (auth === "none") return this.#mayPull(null, repository) ? null : denied(repository);
    if (auth === "basic") {
      const subject = this.#basicSubject(header);
      if (subject === undefined || subject === null) return this.#unauthorized(basicChallenge(this.#realm()));
      return this.#mayPull(subject, repository) ? null : denied(repository);
    }
    const token = header === null ? undefined : /^Bearer (\S+)$/i.exec(header)?.[1];
    if (token === undefined) return this.#unauthorized(this.#challenge(repository));
    const grant = this.#grants.get(token);
    if (grant === undefined) return this.#unauthorized(this.#challenge(repository, "invalid_token"));
    if (grant.expiresAt <= this.#settings.now()) {
      const realm = this.#settings.realmAfterExpiry ?? this.#realm();
      return this.#unauthorized(this.#challenge(repository, "invalid_token", realm));
    }
    if (repository === null) return null;
    if (!grant.repositories.has(repository)) {
      return this.#unauthorized(this.#challenge(repository, "insufficient_scope"));
    }
    // Asked again, not only when the token was made: access may be taken away while a token lives.
    return this.#mayPull(grant.subject, repository) ? null : denied(repository);
  }

  /** The token endpoint: GET with a query, or POST with a form and `grant_type=password`. */
  async response(request: Request): Promise<Response> {
    const isForm = request.method === "POST";
    const requested = isForm ? await formOf(request) : new URL(request.url).searchParams;
    if (isForm && requested.get("grant_type") !== "password") {
      return ociError(400, "UNSUPPORTED", "unsupported grant_type");
    }
    const { service } = this.#settings;
    const askedService = requested.get("service");
    if (service !== null && askedService !== null && askedService !== service) {
      return ociError(400, "UNSUPPORTED", `unknown service ${askedService}`);
    }
    const subject = isForm
      ? this.#knownSubject(requested.get("username") ?? "", requested.get("password") ?? "")
      : this.#basicSubject(request.headers.get("authorization"));
    if (subject === undefined) return ociError(401, "UNAUTHORIZED", "incorrect username or password");

    const repositories = new Set<string>();
    for (const scope of scopesOf(requested.getAll("scope"))) {
      if (this.#settings.refusePush && scope.actions.some((action) => action !== "pull")) {
        return denied(scope.repository);
      }
      if (this.#mayPull(subject, scope.repository)) {
        if (scope.actions.includes("pull")) repositories.add(scope.repository);
      } else if (this.#settings.deniedScope === "refuse") {
        return ociError(this.#settings.deniedStatus, "DENIED", `no access to ${scope.repository}`);
      }
    }
    return this.#issue({ subject, repositories });
  }

  #issue({ subject, repositories }: Omit<Grant, "expiresAt">): Response {
    const { expiresIn, tokenLifetime, tokenField, issuedAt, registryHost, now } = this.#settings;
    const stated = expiresIn !== null && expiresIn > 0 ? expiresIn : DEFAULT_LIFETIME_SECONDS;
    const issued = now();
    // The host is part of it: a token that turns up at another registry is then seen for what it is.
    const token = `token-${registryHost.replace(/[^a-z0-9]/gi, "-")}-${this.#grants.size + 1}`;
    this.#grants.set(token, { subject, repositories, expiresAt: issued + (tokenLifetime ?? stated) * 1000 });
    const body = {
      ...(tokenField === "access_token" ? {} : { token }),
      ...(tokenField === "token" ? {} : { access_token: token }),
      ...(expiresIn === null ? {} : { expires_in: expiresIn }),
      ...(issuedAt ? { issued_at: new Date(issued).toISOString() } : {}),
    };
    return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
  }

  #mayPull(subject: Subject, repository: string | null): boolean {
    if (repository === null) return true;
    const exists = this.#content.has(repository);
    const isPrivate = exists
      ? this.#content.visibility(repository) === "private"
      : this.#settings.unknownRepositories === "private";
    if (!isPrivate) return true;
    const account = this.#settings.credentials.find(({ username }) => username === subject);
    if (account === undefined) return false;
    // An account sees that a repository isn't there; anonymous clients learn nothing.
    return !exists || (account.repositories?.includes(repository) ?? true);
  }

  #knownSubject(username: string, password: string): Subject | undefined {
    const isKnown = this.#settings.credentials.some(
      (credential) => credential.username === username && credential.password === password,
    );
    return isKnown ? username : undefined;
  }

  /** undefined for credentials that are wrong, the empty user of `Basic Og==` among them; null without any. */
  #basicSubject(header: string | null): Subject | undefined {
    if (header === null) return null;
    const encoded = /^Basic (\S+)$/i.exec(header)?.[1];
    if (encoded === undefined) return undefined;
    try {
      const [username = "", ...password] = atob(encoded).split(":");
      return this.#knownSubject(username, password.join(":"));
    } catch {
      return undefined;
    }
  }

  #realm(): string {
    const { realm, scheme, tokenHost, tokenPath } = this.#settings;
    return realm ?? `${scheme}://${tokenHost}${tokenPath}`;
  }

  #challenge(repository: string | null, error?: string, realm = this.#realm()): string {
    const { service, placeholderScope } = this.#settings;
    const scope = repository === null ? placeholderScope : `repository:${repository}:pull`;
    const parameters = Object.entries({ realm, service, scope, error: error ?? null });
    return `Bearer ${parameters.flatMap(([name, value]) => (value === null ? [] : `${name}="${value}"`)).join(",")}`;
  }

  #unauthorized(challenge: string): Response {
    return ociError(401, "UNAUTHORIZED", "authentication required", { "www-authenticate": challenge });
  }
}

function basicChallenge(realm: string): string {
  return `Basic realm="${realm}"`;
}

function denied(repository: string | null): Response {
  return ociError(403, "DENIED", `requested access to ${repository ?? "the resource"} is denied`);
}

/** Not `request.text()`: workerd warns of it for every type that isn't text. */
async function formOf(request: Request): Promise<URLSearchParams> {
  return new URLSearchParams(new TextDecoder().decode(await request.arrayBuffer()));
}

/** Several `scope` parameters, or several scopes in one, separated by spaces. What isn't a repository opens nothing. */
function scopesOf(values: readonly string[]): AskedScope[] {
  return values
    .flatMap((value) => value.split(" "))
    .flatMap((scope) => {
      const [, repository, actions] = PULL_SCOPE.exec(scope) ?? [];
      return repository === undefined ? [] : [{ repository, actions: (actions ?? "").split(",") }];
    });
}

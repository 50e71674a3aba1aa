/** As whom one endpoint is asked: as nobody, as a login of the operator's, or as a user with one of their own. */
import { essence } from "../oci/mediatypes.ts";
import { isWithinNetwork } from "./addresses.ts";
import { type Credential, Credentials, type Login } from "./credentials.ts";
import { isPassing, UpstreamError } from "./failure.ts";
import { Limits } from "./limits.ts";
import { PUBLIC, type Question, type TimedQuestion } from "./question.ts";
import type { Upstream } from "./registries.ts";
import { Remembered } from "./remembered.ts";
import type { Sender } from "./sender.ts";
import { LoginRefused } from "./token-request.ts";
import type { Background } from "./tokens.ts";
import { Visibility } from "./visibility.ts";

export interface PrincipalsOptions {
  sender: Sender;
  /** The operator's logins by upstream. */
  credentials: Readonly<Record<string, readonly Credential[]>>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds for which what nobody was given isn't asked for again as nobody. */
const MISSING = 5 * 60_000;

/** One isolate's knowledge of who is given what. */
export class Principals {
  readonly #sender: Sender;
  readonly #credentials: Credentials;
  readonly #limits: Limits;
  readonly #visibility: Visibility;
  /** What nobody was given: it may be hidden, or not be there, and says nothing of the rest of its repository. */
  readonly #missing: Remembered;

  constructor({ sender, credentials, now }: PrincipalsOptions) {
    this.#sender = sender;
    this.#credentials = new Credentials(credentials, now);
    this.#limits = new Limits(now);
    this.#visibility = new Visibility(now);
    this.#missing = new Remembered(MISSING, now);
  }

  /**
   * Asks as each login that may be used, in turn, and where anyone may pull in the end as nobody.
   * @returns an answer of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async ask(question: TimedQuestion, endpoint: URL, background: Background): Promise<Response> {
    const { upstream, authority = PUBLIC } = question;
    if (authority.kind === "caller")
      return this.#sender.relay(question, endpoint, authority.authorization, background);
    if (authority.kind === "owner") {
      const answer = await this.#askAs(this.#credentials.usable(upstream), question, endpoint, background);
      if (answer instanceof Response) return answer;
      const needsNone = isWithinNetwork(upstream) && !this.#credentials.isWaiting(upstream);
      if (answer === null && needsNone) return this.#sender.send(question, endpoint, null, background);
      throw answer ?? this.#noLogin(upstream);
    }
    if (question.method === "HEAD") return this.#headForAnyone(question, endpoint, background);
    const logins = await this.#loginsFor(question, endpoint, background);
    const answer = await this.#askAs(logins, question, endpoint, background);
    return answer instanceof Response ? answer : this.#askAsNobody(question, endpoint, background);
  }

  /**
   * Whether anyone may pull from a repository, found out by an anonymous HEAD of what is asked for. What can't be found
   * out, because upstream fails or has no such thing for nobody, is taken not to be public.
   * @param question by HEAD.
   */
  async isPublic(question: TimedQuestion, background: Background): Promise<boolean> {
    const { upstream, repository, path } = question;
    const known = this.#visibility.isPublic(upstream.name, repository);
    const name = [upstream.name, repository, path].join(" ");
    const [authority] = upstream.endpoints;
    if (known !== null || !isProbe(question) || !authority || this.#missing.has(name)) return known ?? false;
    try {
      return !isPage(await this.#askAsNobody(question, authority, background));
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (error.failure.kind === "missing") this.#missing.add(name);
      return false;
    }
  }

  /** What came of asking as each login in turn: the first answer, else why the last one got none; null without any. */
  async #askAs(
    logins: readonly Login[],
    question: TimedQuestion,
    endpoint: URL,
    background: Background,
  ): Promise<Response | UpstreamError | null> {
    let refusal: UpstreamError | null = null;
    for (const login of logins) {
      try {
        const response = await this.#sender.send(question, endpoint, login, background);
        this.#credentials.note(login, response.headers);
        return response;
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        const { kind, retryAfter } = error.failure;
        if (error instanceof LoginRefused) this.#credentials.refuse(login);
        else if (kind === "limited") this.#credentials.setAside(login, retryAfter);
        // What is denied to one login, another or nobody may still have.
        else if (kind !== "denied") throw error;
        refusal = error;
      }
    }
    return refusal;
  }

  /** Why the operator can't be asked as: a limit ends, but logins that are refused, or were taken away, open nothing more. */
  #noLogin(upstream: Upstream): UpstreamError {
    return this.#credentials.isWaiting(upstream)
      ? new UpstreamError("limited", `no login for ${upstream.name} can be used now`, 429)
      : new UpstreamError("denied", `no login for ${upstream.name} is accepted`, 401);
  }

  /**
   * Asks by HEAD as nobody, whatever is known of the repository: it counts for no limit, and so whoever looks whether a tag
   * has moved learns also whether it is still everybody's. As a login only where nobody's limit is reached.
   */
  async #headForAnyone(question: TimedQuestion, endpoint: URL, background: Background): Promise<Response> {
    const { upstream, repository } = question;
    try {
      return await this.#askAsNobody(question, endpoint, background);
    } catch (error) {
      const isLimited = error instanceof UpstreamError && error.failure.kind === "limited";
      const mayStandIn =
        endpoint === upstream.endpoints[0] && this.#visibility.isPublic(upstream.name, repository);
      if (!isLimited || !mayStandIn) throw error;
      const answer = await this.#askAs(this.#credentials.usable(upstream), question, endpoint, background);
      if (answer instanceof Response) return answer;
      throw error;
    }
  }

  async #askAsNobody(question: TimedQuestion, endpoint: URL, background: Background): Promise<Response> {
    const { upstream, repository } = question;
    this.#limits.check(question, endpoint);
    try {
      const response = await this.#sender.send(question, endpoint, null, background);
      // A listing that is open to anonymous clients doesn't say that they may pull.
      const isWord = endpoint === upstream.endpoints[0] && isProbe(question) && !isPage(response);
      if (isWord) this.#visibility.notePublic(upstream.name, repository);
      return response;
    } catch (error) {
      const failure = error instanceof UpstreamError ? error.failure : null;
      if (failure?.kind === "limited") this.#limits.note(question, endpoint, failure.retryAfter);
      if (failure?.kind === "denied") this.#visibility.noteClosed(upstream.name, repository);
      throw error;
    }
  }

  /**
   * The logins to ask with. They stand in for everyone's, so only where anyone may pull: what is not known to be public
   * is first asked for by an anonymous HEAD, which costs nothing of any limit. Only the authority ever sees one.
   */
  async #loginsFor(question: TimedQuestion, endpoint: URL, background: Background): Promise<Login[]> {
    const { upstream, repository } = question;
    if (endpoint !== upstream.endpoints[0] || !this.#credentials.has(upstream)) return [];
    // A listing has no HEAD to be probed with, and isn't limited.
    if (!isProbe(question)) return [];
    if (!this.#visibility.isPublic(upstream.name, repository)) {
      try {
        const probe = { ...question, method: "HEAD" as const };
        const response = await this.#askAsNobody(probe, endpoint, background);
        await response.body?.cancel();
        if (isPage(response)) return [];
      } catch (error) {
        const failure = error instanceof UpstreamError ? error.failure : null;
        // A limit or a mishap says nothing of who may pull: then nobody's turn is the only safe one.
        if (failure && isPassing(failure.kind)) return [];
        throw error;
      }
    }
    return this.#credentials.usable(upstream);
  }
}

/** Whether a HEAD of what is asked for would tell who may have it. */
function isProbe({ path }: Pick<Question, "path">): boolean {
  return /^(manifests|blobs)\//.test(path);
}

/**
 * Whether an answer is from somebody in front of the registry, a portal or a notice that it is closed: no registry's word
 * on who may pull.
 */
export function isPage({ headers }: Response): boolean {
  return essence(headers.get("Content-Type")) === "text/html";
}

/** As whom one endpoint is asked: as nobody, as a login of the operator's, or as a user with one of their own. */
import { essence } from "../oci/mediatypes.ts";
import { isWithinNetwork } from "../registry/addresses.ts";
import { UpstreamError } from "../registry/failure.ts";
import type { Credential, Login } from "../registry/registry.ts";
import { Remembered } from "../registry/remembered.ts";
import { LoginRefused } from "../registry/token-request.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { Credentials } from "./credentials.ts";
import { Limits } from "./limits.ts";
import { isByDigest, isContent, PUBLIC, type TimedQuestion } from "./question.ts";
import type { Upstream } from "./registries.ts";
import type { Sender } from "./sender.ts";
import { Visibility } from "./visibility.ts";

export interface PrincipalsOptions {
  sender: Sender;
  /** The operator's logins by upstream. */
  credentials: Readonly<Record<string, readonly Credential[]>>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds for which what an anonymous request wasn't given isn't requested anonymously again. */
const MISSING = 5 * 60_000;
/** Milliseconds for which the operator may be given by digest what an anonymous request was given. */
const GIVEN = 5 * 60_000;

/** One isolate's knowledge of who is given what. */
export class Principals {
  readonly #sender: Sender;
  readonly #credentials: Credentials;
  readonly #limits: Limits;
  readonly #visibility: Visibility;
  /** What nobody was given: it may be hidden, or not be there, and says nothing of the rest of its repository. */
  readonly #missing: Remembered;
  /** What an anonymous request was given by digest. */
  readonly #given: Remembered;

  constructor({ sender, credentials, now }: PrincipalsOptions) {
    this.#sender = sender;
    this.#credentials = new Credentials(credentials, now);
    this.#limits = new Limits(now);
    this.#visibility = new Visibility(now);
    this.#missing = new Remembered(MISSING, now);
    this.#given = new Remembered(GIVEN, now);
  }

  /**
   * Asks as each login that may be used, in turn, and where anyone may pull in the end anonymously.
   * @returns an answer of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async ask(question: TimedQuestion, endpoint: URL, background: WaitUntil): Promise<Response> {
    const { upstream, authority = PUBLIC } = question;
    if (authority.kind === "caller")
      return this.#sender.relay(question, endpoint, authority.authorization, background);
    if (authority.kind === "owner") {
      const answer = await this.#askAs(this.#credentials.usable(upstream), question, endpoint, background);
      if (answer instanceof Response) return answer;
      const needsNone = isWithinNetwork(upstream) && !this.#credentials.hasAccepted(upstream);
      if (answer === null && needsNone) return this.#sender.send(question, endpoint, null, background);
      throw answer ?? this.#noLogin(upstream);
    }
    const proof = await this.#proofFor(question, endpoint, background);
    if (proof) {
      const answer = await this.#askAs(this.#credentials.usable(upstream), question, endpoint, background);
      if (answer instanceof Response && isWhatWasGiven(answer, proof)) return answer;
      if (answer instanceof Response) await answer.body?.cancel();
    }
    return this.#fetchAnonymously(question, endpoint, background);
  }

  /**
   * Whether anyone may pull from a repository, found out by an anonymous HEAD of what is asked for. What can't be found
   * out, because upstream fails or has no such thing for nobody, is taken not to be public.
   * @param question by HEAD.
   */
  async isPublic(question: TimedQuestion, background: WaitUntil): Promise<boolean> {
    const { upstream, repository } = question;
    const known = this.#visibility.isPublic(upstream.name, repository);
    const name = objectOf(question);
    const [authority] = upstream.endpoints;
    if (known !== null || !isContent(question) || !authority || this.#missing.has(name))
      return known ?? false;
    try {
      return !isPage(await this.#fetchAnonymously(question, authority, background));
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
    background: WaitUntil,
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
    return this.#credentials.hasAccepted(upstream)
      ? new UpstreamError("limited", `no login for ${upstream.name} can be used now`, 429)
      : new UpstreamError("denied", `no login for ${upstream.name} is accepted`, 401);
  }

  async #fetchAnonymously(question: TimedQuestion, endpoint: URL, background: WaitUntil): Promise<Response> {
    const { upstream, repository } = question;
    this.#limits.check(question, endpoint);
    try {
      const response = await this.#sender.send(question, endpoint, null, background);
      const isWord = endpoint === upstream.endpoints[0] && isContent(question) && !isPage(response);
      if (isWord) this.#visibility.notePublic(upstream.name, repository);
      if (isWord && isByDigest(question)) this.#given.add(objectOf(question));
      return response;
    } catch (error) {
      const failure = error instanceof UpstreamError ? error.failure : null;
      if (failure?.kind === "limited") this.#limits.note(question, endpoint, failure.retryAfter);
      if (failure?.kind === "denied" && endpoint === upstream.endpoints[0]) {
        this.#visibility.noteClosed(upstream.name, repository);
        this.#given.delete(objectOf(question));
      }
      throw error;
    }
  }

  /**
   * What allows the operator's logins to stand in for an anonymous request: that very object has been given to one, by HEAD,
   * which counts for no limit. What a digest names stays what it is, so for that minutes count; what a tag names may be
   * another image the next moment, or a private one, so for that only now does. A listing has no HEAD, and isn't limited.
   * Only the primary ever sees a login.
   * @returns null where nothing does: an anonymous request then gets the answer that is everybody's.
   */
  async #proofFor(
    question: TimedQuestion,
    endpoint: URL,
    background: WaitUntil,
  ): Promise<{ digest: string | null } | null> {
    const { upstream, method } = question;
    if (method === "HEAD" || endpoint !== upstream.endpoints[0] || !isContent(question)) return null;
    if (this.#credentials.usable(upstream).length === 0) return null;
    if (this.#given.has(objectOf(question))) return { digest: null };
    try {
      const head = await this.#fetchAnonymously({ ...question, method: "HEAD" }, endpoint, background);
      return isPage(head) ? null : { digest: head.headers.get("Docker-Content-Digest") };
    } catch (error) {
      if (error instanceof UpstreamError) return null;
      throw error;
    }
  }
}

/** Of a tag that moves between the two, only what was given anonymously may be given as the operator. */
function isWhatWasGiven({ headers }: Response, { digest }: { digest: string | null }): boolean {
  const sent = headers.get("Docker-Content-Digest");
  return digest === null || sent === null || sent === digest;
}

function objectOf({ upstream, repository, path }: Pick<TimedQuestion, "upstream" | "repository" | "path">) {
  return [upstream.name, repository, path].join(" ");
}

/**
 * Whether an answer is from somebody in front of the registry, a portal or a notice that it is closed: no registry's word
 * on who may pull.
 */
export function isPage({ headers }: Response): boolean {
  return essence(headers.get("Content-Type")) === "text/html";
}

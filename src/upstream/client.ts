/** Asks an upstream for one thing: of which endpoint, as whom, and whether to try again elsewhere. */
import { digestOf } from "../oci/digest.ts";
import { essence } from "../oci/mediatypes.ts";
import { type Credential, Credentials, type Login } from "./credentials.ts";
import { isHeadUnsupported, isPassing, UpstreamError } from "./failure.ts";
import { Health } from "./health.ts";
import { hedge } from "./hedge.ts";
import { Limits } from "./limits.ts";
import { isForAnyone, PUBLIC, type Question, type TimedQuestion } from "./question.ts";
import type { Upstream } from "./registries.ts";
import { LoginRelay } from "./relay.ts";
import { Remembered } from "./remembered.ts";
import { OVERTAKEN, Sender } from "./sender.ts";
import { LoginRefused } from "./token-request.ts";
import type { Background } from "./tokens.ts";
import { Visibility } from "./visibility.ts";

export interface ClientOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** The operator's logins by upstream. */
  credentials?: Readonly<Record<string, readonly Credential[]>>;
  /** The Via of every request (RFC 9110 §7.6.3). */
  via?: string;
}

/** Milliseconds until an answer's headers must be there, whatever it takes; clients give a mirror about 15 s. */
const TIME_OUT = 10_000;
/** Milliseconds after which an alternate is asked beside a slow authority. */
const PATIENCE = 2_000;
/** Milliseconds for which an authority that was let into a repository is taken to be let in still. */
const LET_IN = 5 * 60_000;

/** One isolate's way to the upstreams. */
export class UpstreamClient {
  /** The way of users' own logins. */
  readonly logins: LoginRelay;
  readonly #sender: Sender;
  readonly #credentials: Credentials;
  readonly #health: Health;
  /** How authorities fare against their alternates: one that is slow is still good for tags. */
  readonly #pace: Health;
  readonly #limits: Limits;
  readonly #visibility: Visibility;
  readonly #letIn: Remembered;
  /** What nobody was given: it may be hidden, or not be there, and says nothing of the rest of its repository. */
  readonly #missing: Remembered;
  /** Which endpoint gave an answer. */
  readonly #givers = new WeakMap<Response, URL>();

  constructor({ fetch, now, credentials = {}, via = "1.1 portolan" }: ClientOptions) {
    this.#health = new Health(now);
    this.#pace = new Health(now);
    this.#sender = new Sender({ fetch, now, health: this.#health, via });
    this.#credentials = new Credentials(credentials, now);
    this.#limits = new Limits(now);
    this.#visibility = new Visibility(now);
    this.logins = new LoginRelay({ fetch, now, via });
    this.#letIn = new Remembered(LET_IN, now);
    this.#missing = new Remembered(LET_IN, now);
  }

  /**
   * Asks the authority, which alone may say what a tag means; what is asked for by digest is asked of the alternates
   * too when the authority fails or is slow, because its digest proves it.
   *
   * @returns an answer of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async ask(question: Question, background: Background): Promise<Response> {
    const { endpoints } = question.upstream;
    const asked = this.#inOrder(question);
    const inTime = new AbortController();
    const timer = setTimeout(() => inTime.abort(), TIME_OUT);
    const runs = asked.map((endpoint) => ({ endpoint, overtaken: new AbortController(), isOpen: false }));
    const attempts = runs.map((run) => async () => {
      run.isOpen = true;
      try {
        const signal = AbortSignal.any([inTime.signal, run.overtaken.signal]);
        const timed = { ...question, ...this.#ifRange(question, run.endpoint), signal };
        const response = await this.#askEndpoint(timed, run.endpoint, background);
        this.#givers.set(response, run.endpoint);
        this.#pace.succeeded(run.endpoint);
        return response;
      } finally {
        run.isOpen = false;
      }
    });
    try {
      return await hedge(attempts, {
        patience: PATIENCE,
        decisive: asked.findIndex(({ href }) => href === endpoints[0]?.href),
        isFinal: (error) => !(error instanceof UpstreamError && isPassing(error.failure.kind)),
        discard: (response) => background(response.body?.cancel() ?? Promise.resolve()),
      });
    } finally {
      // It is for the headers alone: a body takes the time it takes.
      clearTimeout(timer);
      for (const { endpoint, overtaken, isOpen } of runs) {
        if (!isOpen) continue;
        // An alternate was asked because the authority was slow, and was faster.
        if (endpoint === endpoints[0]) this.#pace.failed(endpoint);
        overtaken.abort(OVERTAKEN);
      }
    }
  }

  /**
   * Whether anyone may pull from a repository, found out by an anonymous HEAD of what is asked for. What can't be found
   * out, because upstream fails or has no such thing for nobody, is taken not to be public.
   */
  async isPublic(question: Omit<Question, "method">, background: Background): Promise<boolean> {
    const { upstream, repository, path } = question;
    const known = this.#visibility.isPublic(upstream.name, repository);
    const name = [upstream.name, repository, path].join(" ");
    const [authority] = upstream.endpoints;
    if (known !== null || !isProbe(question) || !authority || this.#missing.has(name)) return known ?? false;
    const signal = AbortSignal.timeout(TIME_OUT);
    try {
      return !isPage(await this.#askAsNobody({ ...question, method: "HEAD", signal }, authority, background));
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (error.failure.kind === "missing") this.#missing.add(name);
      return false;
    }
  }

  /**
   * Makes sure that a question's authority may pull from its repository: by a HEAD of what is asked for, remembered for a
   * few minutes.
   * @throws UpstreamError if it may not, or if that can't be found out.
   */
  async letIn(question: Omit<Question, "method">, background: Background): Promise<void> {
    const { upstream, repository, authority = PUBLIC } = question;
    const who = authority.kind === "caller" ? await fingerprint(authority.authorization) : authority.kind;
    const name = [who, upstream.name, repository].join(" ");
    if (this.#letIn.has(name)) return;
    let response: Response;
    try {
      response = await this.ask({ ...question, method: "HEAD" }, background);
    } catch (error) {
      if (!isHeadUnsupported(error)) throw error;
      response = await this.ask({ ...question, method: "GET" }, background);
      await response.body?.cancel();
    }
    if (isPage(response)) {
      throw new UpstreamError("unavailable", `${upstream.name} answered with a page`, response.status);
    }
    this.#letIn.add(name);
  }

  /**
   * What was in an answer isn't what its digest says: the alternate that gave it is left alone for a while. The authority
   * isn't: without it nothing new could be had at all, and each of its answers is checked anyway.
   */
  distrust(response: Response, { endpoints }: Upstream): void {
    const giver = this.#givers.get(response);
    if (giver && giver.href !== endpoints[0]?.href) this.#health.distrust(giver);
  }

  /** Asks one endpoint: as each login that may be used, in turn, and in the end as nobody. */
  async #askEndpoint(question: TimedQuestion, endpoint: URL, background: Background): Promise<Response> {
    if (!this.#health.mayAsk(endpoint)) {
      const wait = this.#health.restOf(endpoint);
      const message = `${endpoint.host} has failed several times in a row and is left alone for ${wait} s`;
      throw new UpstreamError("unavailable", message, 0, wait);
    }
    const { authority = PUBLIC } = question;
    const { upstream } = question;
    if (authority.kind === "caller") return this.#sender.relay(question, endpoint, authority.authorization);
    if (authority.kind === "owner") {
      const answer = await this.#askAs(this.#credentials.usable(upstream), question, endpoint, background);
      if (answer instanceof Response) return answer;
      throw answer ?? this.#noLogin(upstream);
    }
    if (question.method === "HEAD") return this.#headForAnyone(question, endpoint, background);
    const logins = await this.#loginsFor(question, endpoint, background);
    const answer = await this.#askAs(logins, question, endpoint, background);
    return answer instanceof Response ? answer : this.#askAsNobody(question, endpoint, background);
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

  /** Who is asked, one after the other: the authority first, unless its alternates have been faster for a while. */
  #inOrder(question: Question): readonly URL[] {
    const [authority, ...alternates] = question.upstream.endpoints;
    if (!authority) return [];
    if (!isForAnyone(question)) return [authority];
    const isFast = alternates.length === 0 || this.#pace.mayAsk(authority);
    const order = isFast ? [authority, ...alternates] : [...alternates, authority];
    const broken = question.continues?.at(-1);
    const last = broken && this.#givers.get(broken);
    return last ? [...order.filter((endpoint) => endpoint !== last), last] : order;
  }

  /** What an endpoint called the content when it gave the first of it, if it called it anything that tells it from others. */
  #ifRange({ continues = [] }: Question, endpoint: URL): { ifRange?: string } {
    const given = continues.find((response) => this.#givers.get(response) === endpoint);
    const tag = given?.headers.get("ETag");
    return tag?.startsWith('"') ? { ifRange: tag } : {};
  }

  async #askAsNobody(question: TimedQuestion, endpoint: URL, background: Background): Promise<Response> {
    const { upstream, repository } = question;
    this.#limits.check(question, endpoint);
    try {
      const response = await this.#sender.send(question, endpoint, null, background);
      const isWord = endpoint === upstream.endpoints[0] && !isPage(response);
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
function isPage({ headers }: Response): boolean {
  return essence(headers.get("Content-Type")) === "text/html";
}

/** Tells a user's login from others without keeping it. */
function fingerprint(authorization: string): Promise<string> {
  return digestOf(new TextEncoder().encode(authorization));
}

/** Asks an upstream for one thing: of which endpoint, and whether to try again elsewhere. */
import { digestOf } from "../oci/digest.ts";
import { isTransient, mayBeHeadAlone, UpstreamError } from "../registry/failure.ts";
import type { Credential } from "../registry/registry.ts";
import { Remembered } from "../registry/remembered.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { EndpointHealth, ping } from "./endpoint-health.ts";
import { hedge } from "./hedge.ts";
import { LoginRelay } from "./login-relay.ts";
import { isPage, Principals } from "./principals.ts";
import { isContent, isForAnyone, PUBLIC, type Question, type TimedQuestion } from "./question.ts";
import type { Upstream } from "./registries.ts";
import { OVERTAKEN, Sender } from "./sender.ts";

export interface ClientOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** The operator's logins by upstream. */
  credentials?: Readonly<Record<string, readonly Credential[]>>;
  /** This deployment's entry in the Via of every request. */
  via?: string;
}

/** Milliseconds until an answer's headers must be there, whatever it takes; clients give a mirror about 15 s. */
const TIME_OUT = 10_000;
/** Requests in a row in which an alternate was faster, after which the alternates are asked first for a while. */
const SLOW = 3;
/** Milliseconds after which an alternate is asked beside a slow authority. */
const PATIENCE = 2_000;
/** Milliseconds for which an authority that was let into a repository is taken to be let in still. */
const LET_IN = 5 * 60_000;

/** One isolate's way to the upstreams. */
export class UpstreamClient {
  /** The way of users' own logins. */
  readonly logins: LoginRelay;
  readonly #principals: Principals;
  readonly #health: EndpointHealth;
  /** How authorities fare against their alternates: one that is slow is still good for tags. */
  readonly #pace: CircuitBreaker;
  readonly #letIn: Remembered;
  /** Which endpoint gave an answer. */
  readonly #givers = new WeakMap<Response, URL>();

  constructor({ fetch, now, credentials = {}, via = "1.1 portolan" }: ClientOptions) {
    this.#health = new EndpointHealth({ ping: (endpoint) => ping(endpoint, fetch, via), now });
    this.#pace = new CircuitBreaker(SLOW, now);
    const sender = new Sender({ fetch, now, health: this.#health, via });
    this.#principals = new Principals({ sender, credentials, now });
    this.logins = new LoginRelay({ fetch, now, via });
    this.#letIn = new Remembered(LET_IN, now);
  }

  /**
   * Asks the authority, which alone may say what a tag means; what is asked for by digest is asked of the alternates
   * too when the authority fails or is slow, because its digest proves it.
   *
   * @returns an answer of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async ask(question: Question, background: WaitUntil): Promise<Response> {
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
        isFinal: (error) => !(error instanceof UpstreamError && isTransient(error.failure.kind)),
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
   * Whether anyone may pull from a repository, found out by an anonymous HEAD of what is asked for where it isn't known.
   */
  isPublic(question: Omit<Question, "method">, background: WaitUntil): Promise<boolean> {
    const signal = AbortSignal.timeout(TIME_OUT);
    return this.#principals.isPublic({ ...question, method: "HEAD", signal }, background);
  }

  /**
   * Makes sure that a question's authority may have what is asked for: by a HEAD of it, remembered for a few minutes. Who was
   * given one manifest or blob may pull from its repository; who was given a listing may list, and no more.
   * @throws UpstreamError if it may not, or if that can't be found out.
   */
  async letIn(question: Omit<Question, "method">, background: WaitUntil): Promise<void> {
    const { upstream, repository, authority = PUBLIC } = question;
    const who = authority.kind === "caller" ? await fingerprint(authority.authorization) : authority.kind;
    const right = isContent(question) ? "pull" : question.path;
    const name = [who, upstream.name, repository, right].join(" ");
    if (this.#letIn.has(name)) return;
    let response: Response;
    try {
      response = await this.ask({ ...question, method: "HEAD" }, background);
    } catch (error) {
      if (!mayBeHeadAlone(error)) throw error;
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
    if (giver && giver.href !== endpoints[0]?.href) this.#health.quarantine(giver);
  }

  /** Asks one endpoint, unless its circuit is open. */
  async #askEndpoint(question: TimedQuestion, endpoint: URL, background: WaitUntil): Promise<Response> {
    if (!(await this.#health.admits(endpoint))) {
      const wait = this.#health.retryAfter(endpoint);
      const message = `${endpoint.host} is down and isn't asked for another ${wait} s`;
      throw new UpstreamError("unavailable", message, 0, wait);
    }
    return this.#principals.ask(question, endpoint, background);
  }

  /** Who is asked, one after the other: the authority first, unless its alternates have been faster for a while. */
  #inOrder(question: Question): readonly URL[] {
    const [authority, ...alternates] = question.upstream.endpoints;
    if (!authority) return [];
    if (!isForAnyone(question)) return [authority];
    const isFast = alternates.length === 0 || this.#isFast(authority);
    const order = isFast ? [authority, ...alternates] : [...alternates, authority];
    const broken = question.continues?.at(-1);
    const last = broken && this.#givers.get(broken);
    return last ? [...order.filter((endpoint) => endpoint !== last), last] : order;
  }

  /** Whether an authority is asked before its alternates: the request that is to find out whether it is fast again is, too. */
  #isFast(authority: URL): boolean {
    return this.#pace.isClosed(authority) || this.#pace.tryAcquireProbe(authority);
  }

  /** What an endpoint called the content when it gave the first of it, if it called it anything that tells it from others. */
  #ifRange({ continues = [] }: Question, endpoint: URL): { ifRange?: string } {
    const given = continues.find((response) => this.#givers.get(response) === endpoint);
    const tag = given?.headers.get("ETag");
    return tag?.startsWith('"') ? { ifRange: tag } : {};
  }
}

/** Tells a user's login from others without keeping it. */
function fingerprint(authorization: string): Promise<string> {
  return digestOf(new TextEncoder().encode(authorization));
}

/** Sends one question to one endpoint as one login: token, redirects, time-out, a second try. */
import { askAuthorized } from "./authorized.ts";
import type { Login } from "./credentials.ts";
import { failureOfResponse, UpstreamError } from "./failure.ts";
import type { Health } from "./health.ts";
import type { TimedQuestion } from "./question.ts";
import { followRedirects, StorageRefused } from "./redirects.ts";
import type { Errand } from "./token-request.ts";
import { type Background, Tokens } from "./tokens.ts";

/** Why a request is given up that nobody waits for any more. */
export const OVERTAKEN = new Error("another endpoint answered first");

export interface SenderOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  health: Health;
  /** The Via of every request. */
  via: string;
}

/** Milliseconds after which a failed try isn't followed by another: a client that waited so long shan't wait twice. */
const SOON = 2_500;

/** What is said in front of a registry that is down; a 500 is the registry's own, and may concern one object alone. */
const GATEWAY_ERRORS = [502, 503, 504];

export class Sender {
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  readonly #health: Health;
  readonly #via: string;
  readonly #tokens: Tokens;

  constructor({ fetch, now, health, via }: SenderOptions) {
    this.#via = via;
    this.#fetch = fetch;
    this.#now = now;
    this.#health = health;
    this.#tokens = new Tokens({ fetch, now });
  }

  /**
   * @returns an answer of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async send(
    question: TimedQuestion,
    endpoint: URL,
    login: Login | null,
    background: Background,
  ): Promise<Response> {
    const { upstream, path } = question;
    const repository = repositoryAt(endpoint, question.repository);
    const errand: Errand = { upstream, endpoint, repository, login };
    const { signal } = question;
    const response = await askAuthorized({
      tokens: this.#tokens,
      errand,
      background,
      ask: (authorization) => this.#sendTwice(question, errand, authorization),
      wait: (token) => before(signal, token, endpoint),
    });
    if ([200, 206, 416].includes(response.status)) return response;
    await response.body?.cancel();
    throw failureOfResponse(response, `${question.repository}/${path}`, this.#now());
  }

  /**
   * Sends a question with a user's own Authorization, which is theirs to renew.
   * @throws UpstreamError as `send` does.
   */
  async relay(question: TimedQuestion, endpoint: URL, authorization: string): Promise<Response> {
    const { upstream, path } = question;
    const repository = repositoryAt(endpoint, question.repository);
    const errand: Errand = { upstream, endpoint, repository, login: null };
    const response = await this.#sendTwice(question, errand, authorization);
    if ([200, 206, 416].includes(response.status)) return response;
    await response.body?.cancel();
    throw failureOfResponse(response, `${question.repository}/${path}`, this.#now());
  }

  /** One more try for what a moment can mend: a broken connection, a gateway between two restarts, an expired URL. */
  async #sendTwice(question: TimedQuestion, errand: Errand, authorization: string | null): Promise<Response> {
    const started = this.#now();
    try {
      const response = await this.#sendOnce(question, errand, authorization);
      if (!GATEWAY_ERRORS.includes(response.status)) return response;
      if (!this.#isSoon(started, question)) {
        this.#health.failed(errand.endpoint);
        return response;
      }
      await response.body?.cancel();
    } catch (error) {
      const isMendable = !(error instanceof UpstreamError) || error instanceof StorageRefused;
      if (!isMendable || !this.#isSoon(started, question)) throw this.#failed(errand, error, question.signal);
    }
    await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 150));
    try {
      const response = await this.#sendOnce(question, errand, authorization);
      if (GATEWAY_ERRORS.includes(response.status)) this.#health.failed(errand.endpoint);
      return response;
    } catch (error) {
      throw this.#failed(errand, error, question.signal);
    }
  }

  #isSoon(started: number, { signal }: TimedQuestion): boolean {
    return !signal.aborted && this.#now() - started <= SOON;
  }

  async #sendOnce(question: TimedQuestion, errand: Errand, authorization: string | null): Promise<Response> {
    const url = new URL(`/v2/${errand.repository}/${question.path}`, errand.endpoint);
    if (question.search) url.search = question.search.toString();
    // `identity`: a body encoded on the way would no longer have the length and bytes its digest was made of.
    const headers = new Headers({ "Accept-Encoding": "identity", "User-Agent": "portolan", Via: this.#via });
    if (question.accept) headers.set("Accept", question.accept);
    if (question.range) headers.set("Range", question.range);
    if (question.ifRange) headers.set("If-Range", question.ifRange);
    if (authorization !== null) headers.set("Authorization", authorization);
    const init = { method: question.method, headers, signal: question.signal };
    const response = await followRedirects(question.upstream, url, init, this.#fetch);
    if (!GATEWAY_ERRORS.includes(response.status)) this.#health.succeeded(errand.endpoint);
    return response;
  }

  /** What kept an answer from coming, as an UpstreamError; it counts against the endpoint. */
  #failed({ endpoint }: Errand, error: unknown, signal: AbortSignal): UpstreamError {
    if (!(error instanceof StorageRefused) && signal.reason !== OVERTAKEN) this.#health.failed(endpoint);
    if (error instanceof UpstreamError) return error;
    return signal.aborted
      ? tooSlow(endpoint)
      : new UpstreamError("unavailable", `${endpoint.host} can't be reached`);
  }
}

/** Waits for a token no longer than for the whole; who else waits for it may still get it. */
async function before<Result>(signal: AbortSignal, work: Promise<Result>, endpoint: URL): Promise<Result> {
  if (signal.aborted) {
    // Nobody waits for it any more, and it may fail.
    work.catch(() => {});
    throw tooSlow(endpoint);
  }
  let stop = () => {};
  const overdue = new Promise<never>((_, reject) => {
    stop = () => reject(tooSlow(endpoint));
    signal.addEventListener("abort", stop);
  });
  return Promise.race([work, overdue]).finally(() => signal.removeEventListener("abort", stop));
}

function tooSlow({ host }: URL): UpstreamError {
  return new UpstreamError("unavailable", `${host} doesn't answer`);
}

/** An alternate may hold an upstream's repositories below a path: `https://m.daocloud.io/docker.io`. */
function repositoryAt(endpoint: URL, repository: string): string {
  return `${endpoint.pathname.slice(1)}/${repository}`.replace(/^\//, "");
}

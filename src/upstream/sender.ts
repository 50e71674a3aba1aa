/** Sends one question to one endpoint as one login: token, redirects, time-out, a second try. */
import { authorizedFetch, tooSlow } from "../registry/authorized-fetch.ts";
import { failureOfResponse, UpstreamError } from "../registry/failure.ts";
import { followRedirects, StorageRefused } from "../registry/redirects.ts";
import type { Login } from "../registry/registry.ts";
import type { TokenScope } from "../registry/token-request.ts";
import { Tokens } from "../registry/tokens.ts";
import { appendVia } from "../registry/via.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { EndpointHealth } from "./endpoint-health.ts";
import type { TimedQuestion } from "./question.ts";

/** Why a request is given up that nobody waits for any more. */
export const OVERTAKEN = new Error("another endpoint answered first");

export interface SenderOptions {
  fetch: typeof fetch;
  /** Milliseconds since the epoch. */
  now: () => number;
  health: EndpointHealth;
  /** This deployment's entry in the Via of every request. */
  via: string;
}

/** Milliseconds after which a failed try isn't followed by another: a client that waited so long shan't wait twice. */
const SOON = 2_500;

/** What is said in front of a registry that is down; a 500 is the registry's own, and may concern one object alone. */
const GATEWAY_ERRORS = [502, 503, 504];

export class Sender {
  readonly #fetch: typeof fetch;
  readonly #now: () => number;
  readonly #health: EndpointHealth;
  readonly #via: string;
  readonly #tokens: Tokens;

  constructor({ fetch, now, health, via }: SenderOptions) {
    this.#via = via;
    this.#fetch = fetch;
    this.#now = now;
    this.#health = health;
    this.#tokens = new Tokens({ fetch, now, via });
  }

  /**
   * @returns an answer of status 200, 206 or 416, its body unread.
   * @throws UpstreamError for every other one.
   */
  async send(
    question: TimedQuestion,
    endpoint: URL,
    login: Login | null,
    background: WaitUntil,
  ): Promise<Response> {
    const { upstream, path } = question;
    const repository = repositoryAt(endpoint, question.repository);
    const errand: TokenScope = { registry: upstream, endpoint, repository, login, via: question.via ?? "" };
    const { signal } = question;
    const response = await authorizedFetch(
      (sent: TimedQuestion, authorization) => this.#send(sent, errand, authorization, background),
      this.#tokens,
    )(question, { scope: errand, waitUntil: background, signal });
    if ([200, 206, 416].includes(response.status)) return response;
    await response.body?.cancel();
    throw failureOfResponse(response, `${question.repository}/${path}`, this.#now());
  }

  /**
   * Sends a question with a user's own Authorization, which is theirs to renew.
   * @throws UpstreamError as `send` does.
   */
  async relay(
    question: TimedQuestion,
    endpoint: URL,
    authorization: string,
    background: WaitUntil,
  ): Promise<Response> {
    const { upstream, path, via = "" } = question;
    const repository = repositoryAt(endpoint, question.repository);
    const errand: TokenScope = { registry: upstream, endpoint, repository, login: null, via };
    const response = await this.#send(question, errand, authorization, background);
    if ([200, 206, 416].includes(response.status)) return response;
    await response.body?.cancel();
    throw failureOfResponse(response, `${question.repository}/${path}`, this.#now());
  }

  /** Sends it, and notes how the endpoint itself behaved: what storage behind a redirect does isn't the registry's failure. */
  async #send(
    question: TimedQuestion,
    errand: TokenScope,
    authorization: string | null,
    background: WaitUntil,
  ): Promise<Response> {
    const { endpoint } = errand;
    const contact: Contact = { last: endpoint, endpointFailed: null };
    try {
      return await this.#sendTwice(question, errand, authorization, contact);
    } finally {
      if (contact.endpointFailed === true) this.#health.failed(endpoint, background);
      if (contact.endpointFailed === false) this.#health.succeeded(endpoint);
    }
  }

  /** One more try for what a moment can mend: a broken connection, a gateway between two restarts, an expired URL. */
  async #sendTwice(
    question: TimedQuestion,
    errand: TokenScope,
    authorization: string | null,
    contact: Contact,
  ): Promise<Response> {
    const started = this.#now();
    try {
      const response = await this.#sendOnce(question, errand, authorization, contact);
      if (!GATEWAY_ERRORS.includes(response.status) || !this.#isSoon(started, question)) return response;
      await response.body?.cancel();
    } catch (error) {
      const isMendable = !(error instanceof UpstreamError) || error instanceof StorageRefused;
      if (!isMendable || !this.#isSoon(started, question)) throw noResponse(error, question, contact);
    }
    await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 150));
    try {
      return await this.#sendOnce(question, errand, authorization, contact);
    } catch (error) {
      throw noResponse(error, question, contact);
    }
  }

  #isSoon(started: number, { signal }: TimedQuestion): boolean {
    return !signal.aborted && this.#now() - started <= SOON;
  }

  #sendOnce(
    question: TimedQuestion,
    errand: TokenScope,
    authorization: string | null,
    contact: Contact,
  ): Promise<Response> {
    const { upstream, signal } = question;
    const { endpoint } = errand;
    const url = new URL(`/v2/${errand.repository}/${question.path}`, endpoint);
    if (question.search) url.search = question.search.toString();
    // `identity`: a body encoded on the way would no longer have the length and bytes its digest was made of.
    const headers = new Headers({ "Accept-Encoding": "identity", "User-Agent": "portolan" });
    headers.set("Via", appendVia(question.via ?? "", this.#via));
    if (question.accept) headers.set("Accept", question.accept);
    if (question.range) headers.set("Range", question.range);
    if (question.ifRange) headers.set("If-Range", question.ifRange);
    if (authorization !== null) headers.set("Authorization", authorization);
    const noting: (href: string, init: RequestInit) => Promise<Response> = async (href, init) => {
      contact.last = new URL(href);
      const isEndpoint = contact.last.origin === endpoint.origin;
      try {
        const response = await this.#fetch(href, init);
        if (isEndpoint) contact.endpointFailed = GATEWAY_ERRORS.includes(response.status);
        return response;
      } catch (error) {
        if (isEndpoint) contact.endpointFailed = signal.reason === OVERTAKEN ? null : true;
        throw error;
      }
    };
    const encodeResponseBody = question.isRaw ? "manual" : "automatic";
    return followRedirects(
      upstream,
      url,
      { method: question.method, headers, signal, encodeResponseBody },
      noting,
    );
  }
}

/** Who was asked on behalf of one request, and how the endpoint itself fared. */
interface Contact {
  /** The URL that was asked last, of the endpoint or of where it redirected to. */
  last: URL;
  /** Null: it wasn't waited for. */
  endpointFailed: boolean | null;
}

/** What kept a response from coming, as an UpstreamError. */
function noResponse(error: unknown, { signal }: TimedQuestion, { last }: Contact): UpstreamError {
  if (error instanceof UpstreamError) return error;
  return signal.aborted ? tooSlow(last) : new UpstreamError("unavailable", `${last.host} can't be reached`);
}

/** An alternate may hold an upstream's repositories below a path: `https://m.daocloud.io/docker.io`. */
function repositoryAt(endpoint: URL, repository: string): string {
  return `${endpoint.pathname.slice(1)}/${repository}`.replace(/^\//, "");
}

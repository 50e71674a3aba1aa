/** The mirror that a gateway stands before: where it is, and how it is reached. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Environment } from "../../src/registry/proxies.ts";
import { Untrusted } from "../../src/registry/redirects.ts";
import type { Wait } from "../../src/registry/retry.ts";
import { RegistryClient } from "../registry/client.ts";
import { type Network, openNetwork } from "../registry/network.ts";
import { type RemoteRepository, writable } from "../registry/remote.ts";
import { parsePushTo } from "./push-to.ts";

export interface FarMirrorOptions {
  /** Its URL; a path is the name under which it has hosted repositories, `hosted` where there is none. */
  url: string;
  /** The access key that it gets; null for none. */
  key: string | null;
  /** Where the proxies' variables are. */
  environment: Environment;
  /** Waits between two attempts of a request. */
  wait?: Wait;
}

export class FarMirror {
  readonly client: RegistryClient;
  /** Host, and port where it isn't the scheme's. */
  readonly host: string;
  /** Where its pages are. */
  readonly url: string;
  /** What was sent to it. */
  readonly sent = { blobs: 0, present: 0, manifests: 0, bytes: 0, failed: 0 };
  readonly #origin: URL;
  readonly #path: string;
  readonly #network: Network;
  readonly #via = new AsyncLocalStorage<string>();

  /** @throws Error as `parsePushTo` */
  constructor({ url, key, environment, wait }: FarMirrorOptions) {
    const { origin, path } = parsePushTo(url);
    this.#origin = origin;
    this.#path = path;
    this.host = origin.host;
    this.url = origin.origin;
    this.#network = openNetwork({ insecure: false }, environment);
    const login = key === null ? null : { username: "portolan", password: key, source: "--key-file" };
    this.client = new RegistryClient({
      network: { ...this.#network, transportFor: (named) => this.#transportFor(named) },
      // No other host gets the key, and none gets the logins of docker and podman: a client's pushes are the gateway's own.
      logins: { loginFor: async (name) => (name.startsWith(`${origin.host}/`) ? login : null) },
      insecure: false,
      wait,
      advice:
        key === null
          ? "give npm start a key with --key-file"
          : "check what the key of --key-file may do there",
    });
  }

  /** @param repository as the gateway's clients name it below `hosted`: `team/app`. */
  repository(repository: string): RemoteRepository {
    const name = `${this.#path}/${repository}`;
    return writable({ endpoint: this.#origin, repository: name, loginName: this.host });
  }

  /** The same to be read only: a key may have no right to push. */
  readable(repository: string): RemoteRepository {
    const { scopes: _, ...remote } = this.repository(repository);
    return remote;
  }

  /** The list of all hosted repositories. */
  catalog(): { remote: RemoteRepository; at: URL } {
    const remote = { ...this.readable("_catalog"), scopes: ["registry:catalog:*"] };
    return { remote, at: new URL(`/v2/${this.#path}/_catalog`, this.#origin) };
  }

  /** Runs what a request needs, with the intermediaries that the request has passed (RFC 9110 §7.6.3), so that loops of mirrors end. */
  during<Result>(via: string, run: () => Promise<Result>): Promise<Result> {
    return this.#via.run(via, run);
  }

  close(): Promise<void> {
    return this.#network.close();
  }

  /**
   * Sends to no other host: a mirror has all its content itself and issues its own tokens, and neither the key nor an image may go
   * where a response leads.
   */
  #transportFor(named: URL) {
    const transport = this.#network.transportFor(named);
    const check = (url: URL) => {
      if (url.host === this.host) return;
      throw new Untrusted(`${this.host} leads to ${url.host}, where nothing is sent`);
    };
    const fetch: typeof transport.fetch = async (input, init) => {
      check(new URL(input instanceof Request ? input.url : input));
      return transport.fetch(input, init);
    };
    const send: typeof transport.send = async (url, sent) => {
      check(new URL(url));
      const via = this.#via.getStore();
      if (via !== undefined) sent.headers.set("Via", via);
      return transport.send(url, sent);
    };
    return { fetch, send };
  }
}

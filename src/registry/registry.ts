/** A remote registry, as far as requests to it need to know it. */

export interface Registry {
  /** As in image references and messages: `docker.io`. */
  name: string;
  /** Base URLs; never empty. */
  endpoints: readonly URL[];
  /** Hosts, besides the endpoints' own, that may issue tokens for this registry and receive them. */
  realms: readonly string[];
  /** The proxy through which it is reached, or `direct`; the environment decides where it is left out. */
  proxy?: string;
}

/** A username and password for a registry. */
export interface Credential {
  username: string;
  password: string;
}

/** A credential with a name for messages, which never contain the credential itself. */
export interface Login extends Credential {
  /** `docker.io #2`: the second entry under docker.io. */
  name: string;
}

/** The Authorization value of a login (RFC 7617, in UTF-8). */
export function basic({ username, password }: Credential): string {
  return `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${username}:${password}`)))}`;
}

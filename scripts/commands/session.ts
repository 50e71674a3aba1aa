/** What asking registries needs: loaded only by a command that asks them. */

export { RegistryClient } from "../registry/client.ts";
export { readLogins } from "../registry/logins.ts";
export { openNetwork } from "../registry/network.ts";
export { openProgress } from "../terminal/progress.ts";

/** What requests to registries need: loaded only by a command that sends some. */

export { RegistryClient } from "../registry/client.ts";
export { readLogins } from "../registry/logins.ts";
export { openNetwork } from "../registry/network.ts";
export { openProgress } from "../terminal/progress.ts";

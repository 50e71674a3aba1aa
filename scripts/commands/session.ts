/** What asking registries needs: loaded only by a command that asks them. */
export { readLogins } from "../registry/logins.ts";
export { openNetwork } from "../registry/network.ts";
export { RegistryClient } from "../registry/registry.ts";
export { openProgress } from "../terminal/progress.ts";

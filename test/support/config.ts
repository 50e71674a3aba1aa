/** What a configuration comes to. */
import { ConfigError, readConfig } from "../../src/config.ts";

/** What the operator would read; fails if the configuration is taken. */
export function complaint(env: object): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error(`${JSON.stringify(env)} was taken`);
}

/** The endpoints of an upstream, by its name. */
export function endpointsOf(env: object, name: string): string[] | undefined {
  return readConfig(env)
    .upstream(name)
    ?.endpoints.map(({ href }) => href);
}

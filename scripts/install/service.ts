/** Which service is wanted: the options of `npm start` that it is started with, checked as far as they can be before. */
import { isAbsolute, resolve } from "node:path";
import { CommanderError } from "commander";
import { type Settings, startCommand, tlsOf } from "../start.ts";
import { DEFAULT_DATA, ENVIRONMENT, type Service } from "./unit.ts";

/** What everyone on the machine could read in the unit. */
const SECRETS = ["ACCESS_KEYS", "ADMIN_KEY", "RELAY_KEYS", "SIGNING_SECRET", "UPSTREAM_CREDENTIALS"];
/** What the unit hides from the service. */
const HOMES = ["/home/", "/root/", "/run/user/"];

/**
 * @param args options of `npm start`
 * @throws Error in one sentence for what can't be installed so
 */
export function serviceOf(project: string, args: readonly string[]): Service {
  const settings = parsed(args);
  const secret = Object.keys(settings.var).find((name) => SECRETS.includes(name));
  if (secret !== undefined) {
    throw new Error(
      `${secret} is a secret, and the unit isn't: write PORTOLAN_${secret}=… into ${ENVIRONMENT}`,
    );
  }
  if (settings.proxy !== undefined && URL.parse(settings.proxy)?.password) {
    throw new Error(
      `the proxy's password is a secret, and the unit isn't: write HTTPS_PROXY=… into ${ENVIRONMENT}`,
    );
  }
  const isGiven = args.some((each) => /^--data(=|$)/.test(each));
  if (!isAbsolute(project)) throw new Error("--project must be an absolute path");
  if (isGiven && !isAbsolute(settings.data)) throw new Error("--data must be an absolute path");
  const data = isGiven ? resolve(settings.data) : DEFAULT_DATA;
  tlsOf(settings, "/");
  const given = [
    ["--tls-cert", settings.tlsCert],
    ["--tls-key", settings.tlsKey],
    ["--key-file", settings.keyFile],
  ] as const;
  const files = given.flatMap(([option, path]) => (path === undefined ? [] : [[option, path] as const]));
  for (const [option, path] of files) {
    if (!isAbsolute(path)) throw new Error(`${option} must be an absolute path`);
  }
  for (const [what, path] of [["the project", project], ["--data", data], ...files] as const) {
    if (HOMES.some((home) => `${resolve(path)}/`.startsWith(home))) {
      throw new Error(`${what} must not be in a home folder, which services can't see: ${path}`);
    }
  }
  return { project, options: args, port: settings.port, data };
}

function parsed(args: readonly string[]): Settings {
  try {
    const program = startCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => {}, writeOut: () => {} });
    return program.parse(args, { from: "user" }).opts<Settings>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new Error(`npm start wouldn't take these options: ${error.message.replace(/^error: /, "")}`);
  }
}

/** The logins that docker and podman keep in their configuration files and credential helpers. */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { IDENTITY_TOKEN } from "../../src/registry/token-request.ts";

export interface StoredLogin {
  /** `<token>` where the password is an identity token. */
  username: string;
  password: string;
  /** Where it was found, for messages. */
  source: string;
}

export interface Logins {
  /**
   * @param registry its host, perhaps with a path below it: `quay.io/owner/image`. The longest entry that leads to it
   *   counts.
   * @throws Error that says which file or helper fails.
   */
  loginFor(registry: string): Promise<StoredLogin | null>;
}

/** What isn't as docker and podman write it says nothing. */
const Text = v.fallback(v.optional(v.string()), undefined);
const Entry = v.object({ auth: Text, identitytoken: Text, username: Text, password: Text });
/** What matters of docker's config.json and podman's auth.json, which have one form. */
const Content = v.fallback(
  v.object({
    auths: v.fallback(v.record(v.string(), v.fallback(Entry, {})), {}),
    credHelpers: v.fallback(v.record(v.string(), Text), {}),
    credsStore: Text,
  }),
  { auths: {}, credHelpers: {} },
);

const HelperOutput = v.object({ Username: v.string(), Secret: v.string() });

type LoginFile = v.InferOutput<typeof Content> & { path: string };

/** What docker calls Docker Hub in its files and to its helpers. */
const HUB_KEY = "https://index.docker.io/v1/";

/**
 * Reads the files that are there.
 * @param runtime where the system keeps what lasts until it is restarted; podman's logins of root are there.
 * @throws Error for one that is no JSON.
 */
export async function readLogins(environment = process.env, runtime = "/run"): Promise<Logins> {
  const files = (await Promise.all(pathsOf(environment, runtime).map(readLoginFile))).filter(
    (file) => file !== null,
  );
  const known = new Map<string, Promise<StoredLogin | null>>();
  return {
    loginFor: (registry) => {
      const found = known.get(registry) ?? find(files, registry);
      known.set(registry, found);
      return found;
    },
  };
}

/** What the user pointed at comes first, then docker's, then podman's own places. */
function pathsOf(environment: NodeJS.ProcessEnv, runtime: string): string[] {
  const { REGISTRY_AUTH_FILE, DOCKER_CONFIG, XDG_RUNTIME_DIR, XDG_CONFIG_HOME } = environment;
  const home = environment.HOME ?? homedir();
  return [
    REGISTRY_AUTH_FILE,
    join(DOCKER_CONFIG || join(home, ".docker"), "config.json"),
    XDG_RUNTIME_DIR && join(XDG_RUNTIME_DIR, "containers", "auth.json"),
    join(runtime, "containers", String(process.getuid?.()), "auth.json"),
    join(XDG_CONFIG_HOME || join(home, ".config"), "containers", "auth.json"),
  ].filter((path): path is string => path !== undefined && path !== "");
}

async function readLoginFile(path: string): Promise<LoginFile | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(String(error.code))) {
      return null;
    }
    throw new Error(`${path} can't be read: ${error instanceof Error ? error.message : error}`);
  }
  let json: unknown;
  try {
    json = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw new Error(`${path} isn't valid JSON; correct it, or log in again with docker or podman`);
  }
  return { path, ...v.parse(Content, json) };
}

async function find(files: readonly LoginFile[], registry: string): Promise<StoredLogin | null> {
  for (const name of namesOf(registry)) {
    for (const file of files) {
      const login = (await fromHelper(file, name)) ?? fromFile(file, name);
      if (login) return login;
    }
  }
  return null;
}

/** `quay.io/owner/image`, `quay.io/owner`, `quay.io`: the longest first. */
function namesOf(registry: string): string[] {
  const parts = registry.split("/");
  return parts.map((_, index) => parts.slice(0, parts.length - index).join("/"));
}

/** Keys are hosts, hosts with a path, or the URLs that docker once wrote: `https://ghcr.io/v1/`. */
function isKeyOf(key: string, name: string): boolean {
  if (name === "docker.io") {
    if (/^(https:\/\/)?(index\.)?docker\.io(\/v[12])?\/?$/.test(key)) return true;
  }
  return key.replace(/^https?:\/\//, "").replace(/(\/v[12])?\/?$/, "") === name;
}

function fromFile({ path, auths }: LoginFile, name: string): StoredLogin | null {
  const entries = Object.entries(auths).filter(([key]) => isKeyOf(key, name));
  for (const [key, { auth, identitytoken, username, password }] of entries) {
    if (identitytoken) return { username: IDENTITY_TOKEN, password: identitytoken, source: path };
    if (!auth) {
      if (username && password) return { username, password, source: path };
      continue;
    }
    const text = Buffer.from(auth, "base64").toString("utf8");
    const colon = text.indexOf(":");
    if (colon < 1) throw new Error(`${path} has no readable login for ${key}; log in to it again`);
    // docker pads a password with zero bytes.
    const decoded = text.slice(colon + 1).replace(/\0+$/, "");
    return { username: text.slice(0, colon), password: decoded, source: path };
  }
  return null;
}

async function fromHelper(file: LoginFile, name: string): Promise<StoredLogin | null> {
  const [, own] = Object.entries(file.credHelpers).find(([key]) => isKeyOf(key, name)) ?? [];
  const helper = own || file.credsStore;
  // A helper knows registries only, and a store is requested those alone.
  if (!helper || (name.includes("/") && own === undefined)) return null;
  const program = `docker-credential-${helper}`;
  const response = await runHelper(program, name === "docker.io" ? HUB_KEY : name, file.path);
  if (response === null) return null;
  const read = v.safeParse(HelperOutput, response);
  if (!read.success) throw new Error(`${program} gave no login for ${name}, and no reason`);
  const { Username, Secret } = read.output;
  // An empty name is what some helpers give where there is nothing.
  return Username === "" && Secret === "" ? null : { username: Username, password: Secret, source: program };
}

/** @returns what it printed, or null if it holds nothing for the registry. */
function runHelper(program: string, key: string, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (!/^[\w.-]+$/.test(program)) {
      reject(new Error(`${path} names ${program}, which can't be a credential helper`));
      return;
    }
    const child = spawn(program, ["get"], { stdio: ["pipe", "pipe", "ignore"] });
    const printed: Buffer[] = [];
    child.once("error", () => {
      reject(
        new Error(
          `${program}, which ${path} names, can't be run; install it, or take credsStore or credHelpers out of that file`,
        ),
      );
    });
    // One that doesn't read its input closes it before all is written.
    child.stdin.once("error", () => {});
    child.stdin.end(`${key}\n`);
    child.stdout.on("data", (chunk: Buffer) => printed.push(chunk));
    child.once("close", (status) => {
      const text = Buffer.concat(printed).toString("utf8").trim();
      if (status === 0) {
        try {
          resolve(JSON.parse(text));
        } catch {
          reject(new Error(`${program} printed something that isn't JSON`));
        }
      } else if (/credentials not found|no credentials|not logged in/i.test(text)) resolve(null);
      else reject(new Error(`${program} failed for ${key}: ${text.slice(0, 200) || `status ${status}`}`));
    });
  });
}

/** The Docker of this machine, by its HTTP API (docs.docker.com, Engine API: ImageGet, ImageLoad). */
import { existsSync } from "node:fs";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Environment } from "../../src/registry/proxies.ts";
import { causeOf } from "../registry/failure.ts";
import type { ContentFolder } from "./content-folder.ts";
import type { ContentWriter } from "./content-writer.ts";
import { spool } from "./spool.ts";
import { tarIn } from "./tar-file.ts";
import { tarWriter } from "./tar-writer.ts";

const SOCKET = "/var/run/docker.sock";
/** Characters of a response that are looked into for an error. */
const MAXIMUM_TEXT = 64 * 1024;

/**
 * Docker's archive of one image, in a temporary file: Docker only gives it as a stream.
 * @param image its name or ID.
 * @throws Error with Docker's own words where it has no such image.
 */
export async function daemonArchive(image: string, env: Environment): Promise<ContentFolder> {
  const sent = send("GET", `/images/${image}/get`, env);
  sent.request.end();
  const response = await sent.response;
  if (response.statusCode !== 200) throw await refusal(response, image);
  const name = `docker-daemon:${image}`;
  const file = await spool(response, env).catch((error) => {
    throw new Error(`${name}: ${causeOf(error)}`);
  });
  return tarIn(file, name);
}

/** A tar that Docker loads. */
export function daemonWriter(env: Environment): ContentWriter {
  const sent = send("POST", "/images/load?quiet=1", env, { "Content-Type": "application/x-tar" });
  const loading = sent.response.then(async (response) => {
    if (response.statusCode !== 200) throw await refusal(response, "the image");
    return response;
  });
  loading.catch(() => {});
  return tarWriter("docker-daemon", {
    sink: sent.request,
    // Docker may refuse before it has read all of the request, and close the connection.
    explain: () =>
      loading.then(
        () => null,
        (error) => error,
      ),
    publish: async () => {
      const response = await loading;
      const error = errorIn(await lastText(response));
      if (error !== null) throw new Error(`Docker can't load the image: ${error}`);
    },
    discard: () => sent.request.destroy(),
  });
}

function send(
  method: string,
  path: string,
  env: Environment,
  headers: Record<string, string> = {},
): { request: ClientRequest; response: Promise<IncomingMessage> } {
  const socketPath = socketIn(env);
  const sent = request({ socketPath, path, method, headers: { Host: "docker", ...headers } });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve);
    sent.on("error", (error) =>
      reject(new Error(`Docker can't be reached at ${socketPath}: ${causeOf(error)}`)),
    );
  });
  return { request: sent, response };
}

/**
 * DOCKER_HOST; else Docker's socket, or podman's, which has the same API, where there is no Docker.
 * @throws Error for a DOCKER_HOST that is no socket of this machine.
 */
export function socketIn(
  { DOCKER_HOST: host = "", XDG_RUNTIME_DIR: runtime = "" }: Environment,
  exists = existsSync,
): string {
  if (host === "") {
    const podman = [runtime && `${runtime}/podman/podman.sock`, "/run/podman/podman.sock"].filter(Boolean);
    return [SOCKET, ...podman].find((path) => exists(path)) ?? SOCKET;
  }
  const path = /^unix:\/\/(\/.*)$/s.exec(host)?.[1];
  if (path === undefined) throw new Error(`DOCKER_HOST is ${host}; only unix:///path/of/socket is supported`);
  return path;
}

async function refusal(response: IncomingMessage, what: string): Promise<Error> {
  const text = await lastText(response);
  return new Error(`Docker answered ${response.statusCode} for ${what}${text && `: ${messageIn(text)}`}`);
}

function messageIn(text: string): string {
  try {
    const { message } = JSON.parse(text);
    return typeof message === "string" ? message : text;
  } catch {
    return text.trim();
  }
}

/** The error in a response that is a line of JSON for each step; null if it has none. */
function errorIn(text: string): string | null {
  for (const line of text.split("\n")) {
    try {
      const { error } = JSON.parse(line);
      if (typeof error === "string") return error;
    } catch {
      // The first line may be cut.
    }
  }
  return null;
}

async function lastText(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text = (text + piece).slice(-MAXIMUM_TEXT);
  return text;
}

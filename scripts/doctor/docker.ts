/** Whether the Docker of this machine uses the mirror, by what `docker info` says of its configuration. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import * as v from "valibot";
import type { Environment } from "../../src/registry/proxies.ts";
import { bad, type Check, good, skipped, warning } from "./check.ts";

const infoShape = v.object({
  ServerVersion: v.optional(v.string(), ""),
  ServerErrors: v.optional(v.nullable(v.array(v.string())), null),
  RegistryConfig: v.optional(
    v.nullable(v.object({ Mirrors: v.optional(v.nullable(v.array(v.string())), null) })),
    null,
  ),
});

export type DockerInfo = v.InferOutput<typeof infoShape>;

/** What asking Docker came to: its response, that there is no Docker, or why it doesn't say. */
export type DockerInfoResult = { info: DockerInfo } | { absent: true } | { failed: string };

/** Milliseconds. */
const DEADLINE = 10_000;

/** Asks the Docker that the user's own `docker` speaks to (DOCKER_HOST, contexts). */
export async function readDockerInfo(env: Environment): Promise<DockerInfoResult> {
  try {
    const { stdout } = await promisify(execFile)("docker", ["info", "--format", "{{json .}}"], {
      timeout: DEADLINE,
      env,
      // A large machine's response has some tens of kilobytes.
      maxBuffer: 16 * 1024 * 1024,
    });
    return readInfo(stdout);
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
    if (code === "ENOENT") return { absent: true };
    // With no daemon, docker prints what it knows of itself, says why, and exits with 1.
    const response = readInfo(stdout ?? "");
    if ("info" in response && response.info.ServerErrors !== null) return response;
    return { failed: stderr?.trim().split("\n")[0] || `docker info exits with ${code}` };
  }
}

function readInfo(text: string): DockerInfoResult {
  try {
    return { info: v.parse(infoShape, JSON.parse(text)) };
  } catch {
    return { failed: "docker info gives no JSON that can be read" };
  }
}

/** @param mirror its URL, as it should stand among the mirrors */
export function judgeDocker(response: DockerInfoResult, mirror: string): Check {
  if ("absent" in response) return skipped("docker", "isn't installed here");
  const failure = "failed" in response ? response.failed : response.info.ServerErrors?.[0];
  if (failure !== undefined) {
    const advice =
      "Start it (`systemctl start docker`), or add yourself to the group docker, and look again.";
    return warning("docker", failure, advice);
  }
  if ("failed" in response) return skipped("docker", response.failed);
  const mirrors = response.info.RegistryConfig?.Mirrors ?? [];
  const version = response.info.ServerVersion;
  const position = mirrors.findIndex((each) => isSame(each, mirror));
  if (position === 0) return good("docker", `${version} asks this mirror first for images of docker.io`);
  if (position > 0) {
    return warning(
      "docker",
      `${version} asks ${mirrors.slice(0, position).join(", ")} before this mirror`,
      `Docker takes the first mirror that answers. To prefer this one, put ${mirror} first under "registry-mirrors".`,
    );
  }
  const others = mirrors.length === 0 ? "no mirror" : `other mirrors: ${mirrors.join(", ")}`;
  return bad("docker", `${version} uses ${others}`, advice(mirror, mirrors));
}

function advice(mirror: string, others: readonly string[]): string {
  if (new URL(mirror).pathname !== "/") {
    return `Docker's mirrors take no path in older versions: pull by name, ${mirror.replace(/^https?:\/\//, "")}/….`;
  }
  const all = [mirror, ...others].map((each) => each.replace(/\/$/, ""));
  const listed = JSON.stringify({ "registry-mirrors": all });
  return `Put ${listed} into /etc/docker/daemon.json and run \`systemctl reload docker\`. If you only pull by the mirror's name, nothing is to be done.`;
}

function isSame(one: string, other: string): boolean {
  const [first, second] = [one, other].map((text) => URL.parse(text)?.href.replace(/\/$/, ""));
  return first !== undefined && first === second;
}

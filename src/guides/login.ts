/** Gives the mirror's key to tools that use `docker login` or a similar command. */
import { authority } from "./addresses.ts";
import { type GuideFile, type GuideRequest, json, type Step } from "./guide.ts";
import { basicCredentials, USER } from "./key.ts";

/**
 * @param tool `docker`, `podman`, …
 * @param hosts under which the tool reaches the mirror; each is a login of its own
 * @returns no step for an open mirror, which must not be logged in to
 */
export function loginSteps(
  request: GuideRequest,
  tool: string,
  hosts: readonly string[] = [authority(request)],
): Step[] {
  if (request.key === null) return [];
  const logins = hosts.map(
    (host) => `${tool} login --username ${USER} --password-stdin ${host} < portolan.key`,
  );
  return [
    {
      text: "Log in with the mirror's key, which is read from the file `portolan.key`. The user name can be anything.",
      command: logins.join("\n"),
    },
  ];
}

/** The file that stores such logins: Docker's config.json, or podman's auth.json in the same format. */
export function authFile(hosts: readonly string[], key: string, path: string): GuideFile {
  const auth = basicCredentials(key);
  return json(path, { auths: Object.fromEntries(hosts.map((host) => [host, { auth }])) });
}

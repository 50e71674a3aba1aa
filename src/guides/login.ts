/** How tools that log in by `docker login` and its like are given the mirror's key. */
import { authority } from "./addresses.ts";
import { basicCredentials, type GuideFile, type GuideRequest, json, type Step, USER } from "./guide.ts";

/** @param tool `docker`, `podman`, … @returns no step for an open mirror, which must not be logged in to */
export function loginSteps(request: GuideRequest, tool: string): Step[] {
  if (request.key === null) return [];
  return [
    {
      text: `Log in with the mirror's key, which it reads from the file \`portolan.key\`. The user name is free.`,
      command: `${tool} login --username ${USER} --password-stdin ${authority(request)} < portolan.key`,
    },
  ];
}

/** The file in which such a login is kept: Docker's config.json, which podman's auth.json is alike. */
export function authFile(request: GuideRequest, key: string, path: string): GuideFile {
  return json(path, { auths: { [authority(request)]: { auth: basicCredentials(key) } } });
}

/** How a key is used, printed once when it is created. */
import { basicAuthorization, USER } from "../../src/guides/key.ts";
import { table } from "../terminal/table.ts";

/**
 * A few lines, each for one kind of client.
 * @param host the mirror's, or a word that stands for it.
 */
export function usage(key: string, host = "MIRROR"): string {
  const login = `login -u ${USER} ${host}`;
  const rows = [
    ["docker", `docker ${login}, then docker pull ${host}/ghcr.io/OWNER/IMAGE`],
    ["dockerd", `"registry-mirrors": ["https://docker-${key}.DOMAIN"]`],
    ["", `or from Docker 24.0.8 on ["https://${host}/${key}/docker.io"]`],
    ["containerd", `[host."https://${host}".header] Authorization = "${basicAuthorization(key)}"`],
    ["podman", `podman ${login}, or skopeo ${login}`],
  ];
  return `${table(rows, { indent: 2 })}

With the key in a file, every client's configuration is shown, or written, by
  npm run portolan -- config CLIENT --mirror https://${host} --key-file FILE`;
}

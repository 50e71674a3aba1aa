/** How a key is used, said once when it is made. */
import { table } from "../terminal/table.ts";

/** The user name that goes with a key; a mirror takes any. */
const USER = "portolan";

/** A few lines, each for one kind of client; `MIRROR` stands for the mirror's host. */
export function usage(key: string): string {
  const basic = Buffer.from(`${USER}:${key}`).toString("base64");
  const login = `login -u ${USER} MIRROR`;
  const rows = [
    ["docker", `docker ${login}, then docker pull MIRROR/ghcr.io/OWNER/IMAGE`],
    ["dockerd", `"registry-mirrors": ["https://docker-${key}.DOMAIN"]`],
    ["", `or from Docker 24.0.8 on ["https://MIRROR/${key}/docker.io"]`],
    ["containerd", `[host."https://MIRROR".header] Authorization = "Basic ${basic}"`],
    ["podman", `podman ${login}, or skopeo ${login}`],
  ];
  return `${table(rows, { indent: 2 })}\n\nThe user name is free. docs/access.md shows it for each client in full.`;
}

/** CRI-O: the same registries.conf as podman's, and a file of logins of its own. */
import { exampleImage, type Guide, type GuideRequest, type Step, toml } from "../guide.ts";
import { authFile } from "../login.ts";
import { registriesConf } from "../registries-conf.ts";

const AUTH_FILE = "/etc/crio/portolan-auth.json";

export function crio(request: GuideRequest): Guide {
  const { file, hosts, notes } = registriesConf(request);
  return {
    title: "CRI-O",
    steps: [
      { text: "Configure a mirror for each registry, on every node.", file },
      ...(request.key === null ? [] : login(hosts, request.key)),
      {
        text: "Reload CRI-O and pull as Kubernetes would.",
        command: `systemctl ${request.key === null ? "reload" : "restart"} crio\ncrictl pull ${exampleImage(request)}`,
      },
    ],
    notes,
  };
}

function login(hosts: readonly string[], key: string): Step[] {
  return [
    { text: "Write the mirror's key into an authentication file.", file: authFile(hosts, key, AUTH_FILE) },
    {
      text: "Point CRI-O to that file. If `global_auth_file` is already set, add the login to the file it names instead.",
      file: toml("/etc/crio/crio.conf.d/10-portolan.conf", {
        crio: { image: { global_auth_file: AUTH_FILE } },
      }),
    },
  ];
}

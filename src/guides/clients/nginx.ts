/** nginx in front of a mirror: TLS, and a server name for each upstream, for clients that can't write a path. */
import { authority, hostLabel, upstreamsOf } from "../addresses.ts";
import { basicAuthorization, type Guide, type GuideRequest } from "../guide.ts";

const FOLDER = "/etc/nginx/portolan";
/** Where the request names no domain, there is one to be replaced. */
const PLACEHOLDER = "example.com";

export function nginx(request: GuideRequest): Guide {
  const domain = request.domain ?? PLACEHOLDER;
  const servers = upstreamsOf(request).map((upstream) => ({
    upstream,
    name: `${hostLabel(upstream)}.${domain}`,
  }));
  const mirrorName = `mirror.${domain}`;
  // Under the mirror's own name nginx would pass each request to itself.
  const taken = request.mirror.hostname.endsWith(`.${domain}`);
  const names = [mirrorName, ...servers.map(({ name }) => name)];
  const content = [
    preamble(request),
    server(mirrorName, [location("/", request, "")]),
    ...servers.map(({ upstream, name }) =>
      server(name, [
        location("/v2/", request, `/${upstream}/v2/`),
        // Where a list goes on (Link headers) is said with the path that the mirror itself was asked by.
        location(`/${upstream}/`, request, ""),
      ]),
    ),
  ].join("\n");
  return {
    title: "nginx in front of the mirror",
    steps: [
      {
        text: "A certificate for all the names. If you have none, a private CA makes one; its `ca.pem` is what clients are told to trust.",
        command: certificateCommands(names),
      },
      {
        text: "A server for each upstream, and one for the mirror as it is.",
        file: { path: "/etc/nginx/conf.d/portolan.conf", language: "nginx", content },
      },
      { text: "Check and load it.", command: "nginx -t\nnginx -s reload" },
      {
        text: "Let the names lead to this machine, by DNS or in each client's `/etc/hosts`, and ask.",
        command: `curl --cacert ${FOLDER}/ca.pem https://${names[1] ?? mirrorName}/v2/`,
      },
    ],
    notes: [
      ...(taken
        ? [
            `The mirror is itself below ${domain}, so these names are its own or lead nginx to itself: give nginx another domain (\`--domain\`).`,
          ]
        : []),
      ...(request.domain === null ? [`${PLACEHOLDER} stands for your own domain (\`--domain\`).`] : []),
      `With a private CA clients must be told of \`ca.pem\`: Docker as \`/etc/docker/certs.d/${names[1] ?? mirrorName}/ca.crt\`, containerd by \`ca = "/path/ca.pem"\` in hosts.toml, podman and CRI-O as \`/etc/containers/certs.d/${names[1] ?? mirrorName}/ca.crt\`, everything on a machine by \`update-ca-certificates\`.`,
      "Guides for other clients then count with the names here: give them `https://` and the server's name as the mirror's, and the same domain.",
      ...(request.key === null
        ? []
        : ["nginx adds the mirror's key, so whoever reaches nginx needs none: keep others out there."]),
    ],
  };
}

function certificateCommands(names: readonly string[]): string {
  const key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc";
  const alternatives = names.map((name) => `DNS:${name}`).join(",");
  return [
    `mkdir -p ${FOLDER}`,
    `openssl req -x509 ${key} -days 3650 -subj "/CN=Portolan CA" -keyout ${FOLDER}/ca.key -out ${FOLDER}/ca.pem`,
    `openssl req ${key} -subj "/CN=${names[0]}" -addext "subjectAltName=${alternatives}" -keyout ${FOLDER}/key.pem -out ${FOLDER}/request.pem`,
    `openssl x509 -req -in ${FOLDER}/request.pem -CA ${FOLDER}/ca.pem -CAkey ${FOLDER}/ca.key -CAcreateserial -copy_extensions copy -days 825 -out ${FOLDER}/cert.pem`,
  ].join("\n");
}

/** What holds for all servers of the file. */
function preamble({ mirror }: GuideRequest): string {
  const upstreamTls = `
# Let nginx name and check the mirror it talks to.
proxy_ssl_server_name on;
proxy_ssl_name ${mirror.hostname};
proxy_ssl_verify on;
proxy_ssl_verify_depth 4;
proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
`;
  return `ssl_certificate ${FOLDER}/cert.pem;
ssl_certificate_key ${FOLDER}/key.pem;

# Bodies are passed on as they come: a layer must not pile up in memory or on disk first.
proxy_http_version 1.1;
proxy_buffering off;
proxy_read_timeout 300s;
${mirror.protocol === "https:" ? upstreamTls : ""}`;
}

function server(name: string, locations: readonly string[]): string {
  return `server {
  listen 443 ssl;
  server_name ${name};
${locations.join("")}}
`;
}

/** @param path what stands before the rest of the request's path at the mirror; empty to leave the path as it is */
function location(prefix: string, request: GuideRequest, path: string): string {
  const authorization =
    request.key === null ? "" : `    proxy_set_header Authorization "${basicAuthorization(request.key)}";\n`;
  return `  location ${prefix} {
    proxy_pass ${request.mirror.origin}${path};
    proxy_set_header Host ${authority(request)};
${authorization}  }
`;
}

/** nginx in front of a mirror: TLS, and a host name for each upstream, for clients that can't write a path. */
import { authority, hostLabel, isOnThisMachine, moreNotes, upstreamsOf } from "../addresses.ts";
import type { Guide, GuideRequest, Step } from "../guide.ts";
import { basicAuthorization } from "../key.ts";

const FOLDER = "/etc/nginx/portolan";
/** Where the request names no domain, there is one to be replaced. */
const PLACEHOLDER = "example.com";

export function nginx(request: GuideRequest): Guide {
  const domain = request.domain ?? PLACEHOLDER;
  const isLocal = isOnThisMachine(request);
  const names = [
    `mirror.${domain}`,
    ...upstreamsOf(request).map((upstream) => `${hostLabel(upstream)}.${domain}`),
  ];
  const servers = isLocal ? [localServer(request, names)] : remoteServers(request, names);
  return {
    title: "nginx in front of the mirror",
    steps: [
      {
        text: "Get a certificate for all the host names. If you have none, create one with a private CA; clients have to trust its `ca.pem`.",
        command: certificateCommands(names),
      },
      ...(isLocal ? [startWithDomain(request, domain)] : []),
      {
        text: isLocal
          ? "One server for all the host names. The mirror sees which name a client uses, and so which registry it means."
          : "One server for each upstream, and one for the mirror itself.",
        file: {
          path: "/etc/nginx/conf.d/portolan.conf",
          language: "nginx",
          content: servers.join("\n"),
        },
      },
      { text: "Check the configuration and load it.", command: "nginx -t\nnginx -s reload" },
      {
        text: "Make the host names resolve to this machine, in DNS or in each client's `/etc/hosts`, and try one.",
        command: `curl --cacert ${FOLDER}/ca.pem https://${names[1] ?? names[0]}/v2/`,
      },
    ],
    notes: notesOf(request, domain, names),
  };
}

function notesOf(request: GuideRequest, domain: string, names: readonly string[]): string[] {
  const example = names[1] ?? names[0];
  // Under the mirror's own name nginx would pass each request to itself.
  const taken = request.mirror.hostname.endsWith(`.${domain}`);
  return [
    ...(taken
      ? [
          `The mirror is itself below ${domain}, so these host names are the mirror's own or would make nginx connect to itself: give nginx another domain (\`--domain\`).`,
        ]
      : []),
    ...(request.domain === null ? [`${PLACEHOLDER} stands for your own domain (\`--domain\`).`] : []),
    ...moreNotes(request),
    `With a private CA, clients need \`ca.pem\`: Docker as \`/etc/docker/certs.d/${example}/ca.crt\`, containerd through \`ca = "/path/ca.pem"\` in hosts.toml, podman and CRI-O as \`/etc/containers/certs.d/${example}/ca.crt\`, all programs on a machine through \`update-ca-certificates\`.`,
    "In the guides for other clients, use these names: `https://` and the server's name for the mirror, and the same domain.",
    ...keyNotes(request),
  ];
}

function keyNotes(request: GuideRequest): string[] {
  if (request.key !== null) {
    return ["nginx adds the mirror's key, so anyone who can reach nginx can pull: restrict access to it."];
  }
  if (isOnThisMachine(request)) return [];
  return [
    "If the mirror requires access keys, pass one to this guide (`--key-file`) for nginx to add: a client's own login would bypass nginx and go to the mirror's own host name.",
  ];
}

function startWithDomain({ mirror }: GuideRequest, domain: string): Step {
  const port = mirror.port === "" ? "80" : mirror.port;
  return {
    text: "Start the mirror with that domain, so that it accepts the host names.",
    command: `npm start -- --port ${port} --var DOMAIN=${domain}`,
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

/** A mirror on this machine is passed the client's own Host and scheme, by which it says where tokens are given out. */
function localServer(request: GuideRequest, names: readonly string[]): string {
  return server(request, names.join(" "), [
    location("/", request, "", [
      "proxy_set_header Host $http_host;",
      "proxy_set_header X-Forwarded-Proto $scheme;",
      "proxy_set_header CF-Connecting-IP $remote_addr;",
    ]),
  ]);
}

/** Another mirror needs no DOMAIN: it is requested by its own name, for a path that names the upstream. */
function remoteServers(request: GuideRequest, [mirrorName = "", ...names]: readonly string[]): string[] {
  const host = [`proxy_set_header Host ${authority(request)};`];
  return [
    server(request, mirrorName, [location("/", request, "", host)]),
    ...upstreamsOf(request).map((upstream, index) =>
      server(request, names[index] ?? "", [
        location("/v2/", request, `/${upstream}/v2/`, host),
        // Link headers to the next page of a list have the path that the mirror itself was requested by.
        location(`/${upstream}/`, request, "", host),
      ]),
    ),
  ];
}

/** Everything is set within the server, so that nothing changes for other sites of this nginx. */
function server({ mirror }: GuideRequest, names: string, locations: readonly string[]): string {
  const upstreamTls = `
  # Let nginx name and check the mirror it talks to.
  proxy_ssl_server_name on;
  proxy_ssl_name ${mirror.hostname};
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 4;
  proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
`;
  return `server {
  listen 443 ssl;
  server_name ${names};
  ssl_certificate ${FOLDER}/cert.pem;
  ssl_certificate_key ${FOLDER}/key.pem;

  # Bodies are passed on as they come: a layer must not pile up in memory or on disk first.
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_request_buffering off;
  client_max_body_size 0;
  proxy_read_timeout 300s;
${mirror.protocol === "https:" ? upstreamTls : ""}
${locations.join("")}}
`;
}

/** @param path what stands before the rest of the request's path at the mirror; empty to leave the path as it is */
function location(prefix: string, request: GuideRequest, path: string, headers: readonly string[]): string {
  const authorization =
    request.key === null ? [] : [`proxy_set_header Authorization "${basicAuthorization(request.key)}";`];
  const lines = [`proxy_pass ${request.mirror.origin}${path};`, ...headers, ...authorization];
  return `  location ${prefix} {\n${lines.map((line) => `    ${line}\n`).join("")}  }\n`;
}

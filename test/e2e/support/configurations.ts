// The configurations that lead clients to the mirror, as a user would write them.

/**
 * containerd: the text of a hosts.toml.
 * @param server the origin to go to when the mirror fails; none for `_default`
 */
export function hostsToml(mirror: string, server: string | null, extra = ""): string {
  return `${server === null ? "" : `server = "${server}"\n`}[host."${mirror}"]
capabilities = ["pull", "resolve"]
${extra}
`;
}

/** podman and skopeo: the text of a registries.conf. @param mirror host and path, without a scheme */
export function registriesConf(registry: string, mirror: string): string {
  return `[[registry]]
prefix = "${registry}"
location = "${registry}"
[[registry.mirror]]
location = "${mirror}"
insecure = true
`;
}

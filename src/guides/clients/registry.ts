/** registry:2 (distribution) as a proxy, before this mirror, which it asks, or behind it, asked by it. */
import { chooseShape, endpoint, hostLabel, originUrl, upstreamsOf } from "../addresses.ts";
import { type Guide, type GuideRequest, type Step, USER, yaml } from "../guide.ts";

const FIRST_PORT = 5001;

/** A registry in proxy mode has one remote, so there is one for each upstream, each on a port of its own. */
function proxy(label: string, index: number, remote: object): { step: Step; address: string } {
  const address = `127.0.0.1:${FIRST_PORT + index}`;
  const file = yaml(`/etc/docker-registry/portolan-${label}.yml`, {
    version: 0.1,
    storage: {
      filesystem: { rootdirectory: `/var/lib/docker-registry/${label}` },
      delete: { enabled: true },
    },
    http: { addr: address },
    proxy: remote,
  });
  return { step: { text: "", file, command: `registry serve ${file.path}` }, address };
}

export function registry(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["prefix", "host"]);
  const login = request.key === null ? {} : { username: USER, password: request.key };
  const steps = upstreamsOf(request).map((upstream, index) => {
    // Without the slash at its end a path would be dropped when /v2/… is resolved against it.
    const remoteurl = `${endpoint(request, upstream, shape)}/`;
    const { step, address } = proxy(hostLabel(upstream), index, { remoteurl, ...login });
    return { ...step, text: `A registry on ${address} that asks the mirror for ${upstream}.` };
  });
  return {
    title: "registry:2 in proxy mode, before the mirror",
    steps,
    notes: [
      ...notes,
      "Debian's package calls the program `docker-registry`; in the image `registry:2` the file is `/etc/docker/registry/config.yml`, and 127.0.0.1 is the container itself.",
      "It keeps what it pulls for a week unless `proxy.ttl` says otherwise. While the mirror fails it serves what it has.",
    ],
  };
}

export function registryBehind(request: GuideRequest): Guide {
  const registries = upstreamsOf(request).map((upstream, index) => {
    const { step, address } = proxy(hostLabel(upstream), index, { remoteurl: originUrl(upstream) });
    return {
      upstream,
      address,
      step: { ...step, text: `A registry on ${address} that proxies ${upstream}.` },
    };
  });
  const options = registries.map(({ upstream, address }) => `--upstream ${upstream}=http://${address}`);
  return {
    title: "registry:2 in proxy mode, behind the mirror",
    steps: [
      ...registries.map(({ step }) => step),
      {
        text: "Start the mirror with them as its upstreams. Add a second address after a comma, and digests are asked for there when the first fails.",
        command: ["npm start --", ...options].join(" \\\n  "),
      },
    ],
    notes: [
      "This is for a mirror on one machine. A deployed one reaches upstreams by https only, so give the registries TLS and set `UPSTREAMS` (docs/upstreams.md).",
      "Any registry in proxy mode will do, such as a Harbor or Nexus that you have: its base URL is the upstream's endpoint.",
    ],
  };
}

/** registry:2 (distribution) as a proxy, before this mirror, which it asks, or behind it, requested by it. */
import { chooseShape, endpoint, hostLabel, moreNotes, originUrl, upstreamsOf } from "../addresses.ts";
import { type Guide, type GuideRequest, type Shape, type Step, yaml } from "../guide.ts";
import { USER } from "../key.ts";

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
  // It sends its login only where the mirror has a host name for each upstream.
  const { shape, notes } = chooseShape(
    request,
    request.key === null ? ["prefix", "host"] : ["host", "prefix"],
  );
  const steps = upstreamsOf(request).map((upstream, index) => {
    const { step, address } = proxy(hostLabel(upstream), index, remote(request, upstream, shape));
    return { ...step, text: `A registry on ${address} that fetches ${upstream} through the mirror.` };
  });
  return {
    title: "registry:2 in proxy mode, before the mirror",
    steps,
    notes: [
      ...notes,
      ...moreNotes(request),
      ...(request.key !== null && shape === "prefix"
        ? [
            "The key is part of `remoteurl`, because the registry sends no login to a URL with a path: protect the files like a password.",
          ]
        : []),
      "In Debian's package the program is called `docker-registry`; in the image `registry:2`, the file is `/etc/docker/registry/config.yml`, and 127.0.0.1 is the container itself.",
      "It keeps what it pulls for a week unless `proxy.ttl` is set. While the mirror fails, it serves what it has stored.",
    ],
  };
}

function remote(request: GuideRequest, upstream: string, shape: Shape): object {
  const { key, mirror } = request;
  if (shape === "host") {
    const login = key === null ? {} : { username: USER, password: key };
    return { remoteurl: endpoint(request, upstream, shape), ...login };
  }
  const base = key === null ? endpoint(request, upstream, shape) : `${mirror.origin}/${key}/${upstream}`;
  // Without the slash at its end the path would be dropped when /v2/… is resolved against it.
  return { remoteurl: `${base}/` };
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
  const options = registries.map(
    ({ upstream, address }) => `--upstream ${upstream}=http://${address} --insecure ${upstream}`,
  );
  return {
    title: "registry:2 in proxy mode, behind the mirror",
    steps: [
      ...registries.map(({ step }) => step),
      {
        text: "Start the mirror with them as its upstreams. A second URL after a comma is a fallback, used for digests when the first one fails.",
        command: ["npm start --", ...options].join(" \\\n  "),
      },
    ],
    notes: [
      ...moreNotes(request),
      "This is for a mirror on one machine. A deployed one reaches public addresses only, so give the registries TLS and set `UPSTREAMS` (docs/upstreams.md).",
      "Any registry in proxy mode works, such as an existing Harbor or Nexus: its base URL is the upstream's endpoint.",
    ],
  };
}

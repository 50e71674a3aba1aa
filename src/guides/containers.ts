/** For clients whose nodes are containers: they can't reach a mirror on this machine at 127.0.0.1. */
import { isOnThisMachine } from "./addresses.ts";
import type { GuideRequest, Step } from "./guide.ts";

/** Docker's own bridge, unless `bip` in daemon.json says otherwise: reachable from every container on the machine, but not from other machines. */
const BRIDGE = "172.17.0.1";

/**
 * @returns the request with an address at which containers can reach the mirror, and how to start it there
 */
export function fromContainers(request: GuideRequest): { request: GuideRequest; steps: Step[] } {
  if (!isOnThisMachine(request)) return { request, steps: [] };
  const mirror = new URL(request.mirror);
  mirror.hostname = BRIDGE;
  const port = mirror.port === "" ? "80" : mirror.port;
  return {
    // Names under DOMAIN that lead to loopback lead nowhere from a container.
    request: { ...request, mirror, domain: null },
    steps: [
      {
        text: `Inside a container, 127.0.0.1 is the container itself. Let the mirror listen on Docker's bridge, which containers can reach and other machines can't. (With Docker Desktop, leave the mirror on loopback and use \`host.docker.internal\` instead of ${BRIDGE}.)`,
        command: `npm start -- --host ${BRIDGE} --port ${port} --var ACCESS=open`,
      },
    ],
  };
}

/** Checks that a new cluster pulls through the mirror. */
export const RUN_A_POD: Step = {
  text: "Run a pod, and check that its image appears in the mirror's log.",
  command:
    "kubectl run hello --image=docker.io/library/nginx:alpine\nkubectl wait --for=condition=Ready pod/hello --timeout=120s",
};

/** For programs that may or may not run in a container. */
export function loopbackNotes(request: GuideRequest): string[] {
  if (!isOnThisMachine(request)) return [];
  return [
    "Inside a container, 127.0.0.1 is the container itself: run the mirror on an address that is reachable from there.",
  ];
}

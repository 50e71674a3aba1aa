/** For clients whose nodes are containers themselves: the mirror of this very machine is not on 127.0.0.1 for them. */
import { isOnThisMachine } from "./addresses.ts";
import type { GuideRequest, Step } from "./guide.ts";

/** Docker's own bridge, unless `bip` in daemon.json says otherwise: every container of the machine reaches it, and no one outside. */
const BRIDGE = "172.17.0.1";

/**
 * @returns the request with an address of the mirror that reaches it from within a container, and how to start it there
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
        text: `Within a container 127.0.0.1 is the container itself. Let the mirror listen on Docker's bridge, which containers reach and other machines don't. (With Docker Desktop leave the mirror where it is, and write \`host.docker.internal\` for ${BRIDGE}.)`,
        command: `npm start -- --host ${BRIDGE} --port ${port} --var ACCESS=open`,
      },
    ],
  };
}

/** What shows that a new cluster pulls through the mirror. */
export const RUN_A_POD: Step = {
  text: "Run something, and see in the mirror's log that its image was asked for there.",
  command:
    "kubectl run hello --image=docker.io/library/nginx:alpine\nkubectl wait --for=condition=Ready pod/hello --timeout=120s",
};

/** For programs that may run in a container, without a guide being able to tell where. */
export function loopbackNotes(request: GuideRequest): string[] {
  if (!isOnThisMachine(request)) return [];
  return [
    "In a container 127.0.0.1 is the container itself: give the mirror an address that it reaches from there.",
  ];
}

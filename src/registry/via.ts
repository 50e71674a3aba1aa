/** The intermediaries that a request has passed (RFC 9110 §7.6.3), by which endless loops of mirrors are detected. */

/** Characters of a Via beyond which a request is taken to loop; each Portolan adds about fifty. */
const LONGEST = 1024;
/** Deployments of Portolan that a request may pass, whichever they are. */
const MOST_MIRRORS = 10;
/** Times that a request may have passed this deployment before: as the mirror of another mirror, and as its upstream. */
const MOST_PASSES = 1;

/** The Via entry of a deployment. */
export function viaOf(deployment: string): string {
  return `1.1 portolan-${deployment}`;
}

/** The Via to send: the valid entries received, without comments or anything else from the client, and our own. */
export function appendVia(received: string, own: string): string {
  return [...entriesOf(received), own].join(", ");
}

/** How often a request has passed this deployment before. */
export function passesOf(received: string, own: string): number {
  return entriesOf(received).filter((entry) => entry === own).length;
}

/** Whether a request that was received with this Via loops. */
export function isLoop(received: string, own: string): boolean {
  if (received.length > LONGEST || passesOf(received, own) > MOST_PASSES) return true;
  return entriesOf(received).filter((entry) => entry.includes(" portolan")).length > MOST_MIRRORS;
}

/** Each a protocol and a name: `1.1 proxy.example.net:3128`. */
function entriesOf(via: string): string[] {
  const entries = via.replaceAll(/\([^()]*\)/g, "").split(",");
  return entries
    .map((entry) => entry.trim().replace(/\s+/, " "))
    .filter((entry) => /^([\w-]+\/)?\d(\.\d)? [\w.:-]+$/.test(entry));
}

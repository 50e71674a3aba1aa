/** The configuration that workerd is started with: its services, and which of them can reach which others. */
import { capnpText, Embedded, type Value } from "./capnp.ts";
import type { WorkerCode } from "./kept-code.ts";
import type { Project } from "./project.ts";

export interface RuntimeOptions {
  project: Project;
  variables: Readonly<Record<string, unknown>>;
  folders: Folders;
  /**
   * Where clients are served: an address in workerd's format (`127.0.0.1:8787`, `[::1]:0`), or the path of the socket that a
   * TLS terminator passes requests on to.
   */
  address: string | { socket: string };
  /** Paths of the sockets between workerd and Node. */
  sockets: { files: string; control: string; forwarder: string; gateway?: string };
  /** Certificates that are trusted in addition to the public authorities, in PEM. */
  certificates: readonly string[];
}

/** Both in PEM. */
interface PemPair {
  privateKey: string;
  /** The server's certificate first. */
  certificateChain: string;
}

/** Folders on the disk, as absolute paths. */
export interface Folders {
  /** Manifests, blobs and links by their key. */
  store: string;
  /** What is being written to the store and read at the same time, on the same file system. */
  incoming: string;
  /** What is stored in KV on the platform. */
  records: string;
  /** The storage of Durable Objects. */
  objects: string;
}

/** Names of sockets, as workerd reports them once it listens. */
export const PUBLIC_SOCKET = "http";
export const CONTROL_SOCKET = "control";

/** @returns a file for `workerd serve`. It contains the variables, secrets included. */
export function configurationText(options: RuntimeOptions): string {
  const configuration: Value = {
    logging: { structuredLogging: true },
    services: [
      { name: "mirror", worker: mirrorWorker(options) },
      { name: "store", worker: storeWorker(options) },
      ...networks(options.certificates),
      { name: "store-files", disk: { path: options.folders.store } },
      { name: "incoming", disk: { path: options.folders.incoming, writable: true } },
      { name: "record-files", disk: { path: options.folders.records } },
      { name: "objects", disk: { path: options.folders.objects, writable: true } },
      { name: "writer", external: { address: `unix:${options.sockets.files}`, http: {} } },
      { name: "forwarder", external: { address: `unix:${options.sockets.forwarder}`, http: {} } },
      ...gatewayService(options),
    ],
    sockets: [
      { name: PUBLIC_SOCKET, ...publicListener(options.address), service: "mirror" },
      {
        name: CONTROL_SOCKET,
        address: `unix:${options.sockets.control}`,
        http: {},
        service: { name: "mirror", entrypoint: "Control" },
      },
    ],
  };
  return fileText(configuration);
}

/**
 * What a TLS terminator tells the mirror of a request: the scheme, and whose connection it is. The terminator sets these
 * headers whatever the client sent, and the mirror's socket is the owner's only.
 */
const PASSED_ON: Value = { forwardedProtoHeader: "X-Portolan-Scheme", cfBlobHeader: "X-Portolan-Connection" };

/** @returns a file for `workerd serve` of a TLS terminator, whose socket is named `https`. It contains the private key. */
export function terminatorText({ privateKey, certificateChain }: PemPair, mirror: string): string {
  return fileText({
    logging: { structuredLogging: true },
    services: [{ name: "mirror", external: { address: `unix:${mirror}`, http: PASSED_ON } }],
    sockets: [
      {
        name: "https",
        https: { options: {}, tlsOptions: { keypair: { privateKey, certificateChain } } },
        service: "mirror",
      },
    ],
  });
}

function publicListener(address: RuntimeOptions["address"]) {
  if (typeof address === "string") return { address, http: {} };
  return { address: `unix:${address.socket}`, http: PASSED_ON };
}

function fileText(configuration: Value): string {
  return `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = ${capnpText(configuration)};\n`;
}

function mirrorWorker({ project, variables, sockets }: RuntimeOptions): Value {
  const objects = [...project.durableObjects];
  return {
    modules: moduleOf("mirror.js"),
    ...compatibility(project),
    bindings: [
      ...Object.entries(variables).map(([name, value]) => variable(name, value)),
      { name: "STORE", service: { name: "store", entrypoint: "DiskBucket" } },
      { name: "TAGS", service: { name: "store", entrypoint: "DiskRecords" } },
      { name: "OPERATOR_NETWORK", service: "operator-network" },
      { name: "FORWARDER", service: "forwarder" },
      ...gatewayService({ sockets }).map(({ name }) => ({ name: "GATEWAY", service: name })),
      ...objects.map(([name, className]) => ({ name, durableObjectNamespace: { className } })),
    ],
    durableObjectNamespaces: objects.map(([, className]) => ({
      className,
      uniqueKey: className,
      enableSql: true,
    })),
    durableObjectStorage: { localDisk: "objects" },
    globalOutbound: "internet",
  };
}

/** The process that hosted repositories are another mirror's through, where there is one. */
function gatewayService({ sockets }: Pick<RuntimeOptions, "sockets">) {
  if (sockets.gateway === undefined) return [];
  return [{ name: "gateway", external: { address: `unix:${sockets.gateway}`, http: {} } }];
}

function storeWorker({ project }: RuntimeOptions): Value {
  return {
    modules: moduleOf("store.js"),
    ...compatibility(project),
    bindings: [
      { name: "STORE_FILES", service: "store-files" },
      { name: "INCOMING", service: "incoming" },
      { name: "RECORD_FILES", service: "record-files" },
      { name: "WRITER", service: "writer" },
    ],
  };
}

/**
 * A file beside the configuration. As part of its text, a megabyte would be escaped here and parsed again there at every
 * start.
 */
function moduleOf(file: keyof WorkerCode): Value {
  return [{ name: file, esModule: new Embedded(file) }];
}

function compatibility({ compatibilityDate, compatibilityFlags }: Project) {
  return { compatibilityDate, compatibilityFlags };
}

function variable(name: string, value: unknown): Value {
  return typeof value === "string" ? { name, text: value } : { name, json: JSON.stringify(value) };
}

/**
 * Two outbound networks. The public one never reaches an address of this machine or of a private network, whatever a redirect
 * or DNS says; the operator's is for the hosts that the configuration itself names.
 */
function networks(certificates: readonly string[]): Value[] {
  const tlsOptions = { trustBrowserCas: true, trustedCertificates: certificates };
  return [
    { name: "internet", network: { allow: ["public"], tlsOptions } },
    { name: "operator-network", network: { allow: ["public", "private"], tlsOptions } },
  ];
}

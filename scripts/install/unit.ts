/** The systemd unit of the mirror: a user of its own, who can write to the store and nothing else. */

export interface Service {
  /** The project's folder. */
  project: string;
  /** Options of `npm start`, after those that the unit sets itself. */
  options: readonly string[];
  port: number;
  /** The folder of the store. */
  data: string;
}

/** Of the user, the group, the unit, and the folders in /etc and /var/lib. */
export const NAME = "portolan";
export const STATE = `/var/lib/${NAME}`;
export const DEFAULT_DATA = `${STATE}/store`;
export const KEYS = `${STATE}/access-keys.json`;
export const ENVIRONMENT = `/etc/${NAME}/environment`;
/** Ports below are for processes with a capability. */
const FIRST_FREE_PORT = 1024;

export function unitText({ project, options, port, data }: Service): string {
  const command = [
    ...[`${project}/node_modules/.bin/node`, `${project}/scripts/start.js`],
    ...["--data", data, "--keys", KEYS, ...options],
  ];
  const capabilities = port > 0 && port < FIRST_FREE_PORT ? "CAP_NET_BIND_SERVICE" : "";
  return `[Unit]
Description=Portolan, a mirror for container registries
Documentation=file:${project}/docs/serve.md
Wants=network-online.target
After=network-online.target

[Service]
User=${NAME}
Group=${NAME}
StateDirectory=${NAME}
StateDirectoryMode=0700
WorkingDirectory=${STATE}
UMask=0077
# Variables and secrets, read by systemd: the file is for root only.
EnvironmentFile=-${ENVIRONMENT}
ExecStart=${command.map(quoted).join(" ")}
Restart=on-failure
RestartSec=5
# SIGTERM goes to Node.js alone, which gives workerd 8 seconds to finish its requests.
KillMode=mixed
TimeoutStopSec=15

ProtectSystem=strict
${data.startsWith(`${STATE}/`) ? "" : `ReadWritePaths=${quoted(data)}\n`}ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
NoNewPrivileges=yes
CapabilityBoundingSet=${capabilities}
AmbientCapabilities=${capabilities}
# AF_NETLINK lists this machine's addresses.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# No MemoryDenyWriteExecute: workerd and Node.js compile JavaScript while they run.

[Install]
WantedBy=multi-user.target
`;
}

/** Creates the user, as systemd-sysusers reads it. */
export const SYSUSERS_TEXT = `u ${NAME} - "Portolan" ${STATE}\n`;

export const ENVIRONMENT_TEXT = `# Variables of the mirror, after PORTOLAN_, and proxies; see docs/serve.md. After a change: systemctl restart ${NAME}
# PORTOLAN_CACHE_LIMIT=200 GB
# PORTOLAN_UPSTREAM_CREDENTIALS='{"docker.io":{"username":"…","password":"…"}}'
# HTTPS_PROXY=http://127.0.0.1:7890
`;

/** As systemd reads a word of a command (systemd.service, "Command lines"). */
function quoted(word: string): string {
  const escaped = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w@%+=:,./$-]+$/.test(escaped) ? escaped : `"${escaped.replaceAll(/[\\"]/g, "\\$&")}"`;
}
